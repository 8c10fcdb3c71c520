//! A deployment is a version of the workers, as Temporal's Worker Versioning knows it: a run stays with the version that
//! it began on, while new runs go to the newest.

use std::str::FromStr;

use temporalio_common::worker::{VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion};

use crate::environment;

/// Which version this worker is of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deployment {
    /// The deployment's name: the same for all versions.
    pub name: String,
    /// The version's own name.
    pub build_id: String,
    /// What becomes of runs when a newer version is there.
    pub versioning: Versioning,
}

/// What becomes of runs when a newer version is there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Versioning {
    /// They end on the version that they began on.
    #[default]
    Pinned,
    /// They go on under the newer one, which replays their histories.
    AutoUpgrade,
}

impl FromStr for Versioning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pinned" => Ok(Self::Pinned),
            "auto-upgrade" => Ok(Self::AutoUpgrade),
            other => Err(format!("`{other}` is neither `pinned` nor `auto-upgrade`")),
        }
    }
}

/// One of the two names is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "a version of workers has two names: set both {} and {}",
    environment::DEPLOYMENT_NAME,
    environment::BUILD_ID
)]
pub struct HalfADeployment;

impl Deployment {
    /// Of the two names that Temporal's worker controller sets, if it did; without them workers have no version.
    pub fn new(
        name: Option<String>,
        build_id: Option<String>,
        versioning: Versioning,
    ) -> Result<Option<Self>, HalfADeployment> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match (given(name), given(build_id)) {
            (None, None) => Ok(None),
            (Some(name), Some(build_id)) => Ok(Some(Self { name, build_id, versioning })),
            _ => Err(HalfADeployment),
        }
    }

    pub(crate) fn options(&self) -> WorkerDeploymentOptions {
        let version = WorkerDeploymentVersion::builder()
            .deployment_name(self.name.clone())
            .build_id(self.build_id.clone())
            .build();
        let behaviour = match self.versioning {
            Versioning::Pinned => VersioningBehavior::Pinned,
            Versioning::AutoUpgrade => VersioningBehavior::AutoUpgrade,
        };
        WorkerDeploymentOptions::new(version)
            .use_worker_versioning(true)
            .default_versioning_behavior(behaviour)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_version_is_none() {
        let name = |text: &str| Some(text.to_owned());
        let pinned = Versioning::default();
        assert!(matches!(Deployment::new(None, name(""), pinned), Ok(None)));
        assert!(Deployment::new(name("wikitok"), None, pinned).is_err());
        let whole = Deployment::new(name("wikitok"), name("1"), pinned).unwrap().unwrap();
        assert_eq!((whole.name.as_str(), whole.versioning), ("wikitok", Versioning::Pinned));
    }
}
