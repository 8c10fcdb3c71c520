//! A sample shows what the output holds, and whatever its judge says is a problem of the file.

use std::sync::{Arc, Mutex};

use wikitok_publish::{SampledArticle, keys, sample};

use crate::common::{self, SHARDS};

#[tokio::test]
async fn a_sample_is_what_the_output_holds() {
    let output = common::published().await;
    let rows = [common::rows(SHARDS[0]), common::rows(SHARDS[1])].concat();
    for (asked, expected) in [(100, vec![0, 1, 2, 3, 4, 5]), (3, vec![0, 2, 4]), (1, vec![0]), (0, vec![])] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        let judge = move |article: &SampledArticle| {
            kept.lock().unwrap().push(article.clone());
            None
        };
        let found = sample(&output, asked, Arc::new(judge)).await.unwrap();
        assert_eq!((found.articles, found.problems.len()), (expected.len() as u64, 0));
        let expected = expected.into_iter().map(|row: usize| SampledArticle {
            page_id: rows[row].page_id,
            text: rows[row].text.clone(),
            tokens: rows[row].tokens.clone(),
        });
        assert_eq!(*seen.lock().unwrap(), expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_the_judge_says_is_a_problem_of_the_file() {
    let output = common::published().await;
    let judge = |article: &SampledArticle| (article.page_id == 21).then(|| "is wrong".to_owned());
    let problems = sample(&output, 6, Arc::new(judge)).await.unwrap().problems;
    let key = keys::tokens(SHARDS[1], 0).unwrap();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [format!("`{key}` is wrong")]);
}
