//! The nearest passages, on vectors whose angles are known.

use crate::common::{self, DIMENSION, SHARDS, axis, rows, token_part, tokens_manifest, vectors_manifest};
use wikitok_publish::{
    Hit, PassageKey, PublishError, QuarantinePart, VectorElement, VectorPartOptions, VectorPartWriter,
    commit_tokens, commit_vectors, nearest, passage_texts,
};
use wikitok_store::ErrorKind;

fn brief(hits: &[Hit]) -> Vec<(u64, u32)> {
    hits.iter().map(|hit| (hit.page_id, hit.passage)).collect()
}

#[tokio::test]
async fn the_nearest_come_first_over_all_shards() {
    let output = common::published().await;
    // Both shards have axis 0 for passage 0 of their first page, and axis 3 for passage 1.
    let hits = nearest(&output, &[3.0, 0.0, 0.0, 1.0], 5).await.unwrap();
    assert_eq!(brief(&hits), [(10, 0), (20, 0), (10, 1), (20, 1), (10, 0)]);
    assert!((hits[0].score - 3.0 / 10f32.sqrt()).abs() < 1e-6);
    assert!((hits[2].score - 1.0 / 10f32.sqrt()).abs() < 1e-6);
    assert_eq!((hits[1].title.as_str(), hits[1].shard.as_str()), ("Page 20", SHARDS[1]));
    assert_eq!(nearest(&output, &[1.0; 4], 100).await.unwrap().len(), 8);
    assert!(nearest(&output, &[1.0; 4], 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_query_of_another_model_is_refused() {
    let output = common::published().await;
    for query in [&[1.0; 3][..], &[0.0; 4], &[f32::NAN; 4], &[]] {
        let error = nearest(&output, query, 1).await.unwrap_err();
        assert!(matches!(error, PublishError::BadQuery { .. }));
        assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    }
}

#[tokio::test]
async fn an_output_without_vectors_has_no_hits() {
    let output = common::empty().await;
    assert!(nearest(&output, &[1.0], 3).await.unwrap().is_empty());
}

/// Vectors of 16 bits are compared like others, and the passage that was found is cut out of its article.
#[tokio::test]
async fn passages_are_found_with_their_text() {
    let output = common::empty().await;
    let mut row = rows(SHARDS[0])[0].clone();
    row.text = "één twee drie. vier 五".to_owned();
    let mut options = VectorPartOptions::new(DIMENSION);
    (options.places, options.element) = (true, VectorElement::F16);
    let mut writer = VectorPartWriter::new(options).unwrap();
    for (passage, characters) in [(0, 0..14), (1, 15..21)] {
        let key = PassageKey { page_id: row.page_id, title: &row.title, passage, characters };
        writer.push(&key, &axis(passage as usize)).unwrap();
    }
    let tokens = tokens_manifest(SHARDS[0], 0, "f", std::slice::from_ref(&row), 0);
    let tokens =
        commit_tokens(&output, tokens, &common::files(&token_part(&[row]), &QuarantinePart::default()))
            .await
            .unwrap();
    commit_vectors(&output, vectors_manifest(&tokens), &writer.finish().unwrap()).await.unwrap();
    let hits = nearest(&output, &axis(1), 2).await.unwrap();
    assert_eq!((hits[0].passage, hits[0].characters.clone(), hits[0].part), (1, Some(15..21), 0));
    let texts = passage_texts(&output, &hits).await.unwrap();
    assert_eq!(texts, [Some("vier 五".to_owned()), Some("één twee drie.".to_owned())]);
}
