//! Access is who we are to a storage: the variables that hold credentials, and whom to write to about us.

use std::collections::BTreeMap;
use std::fmt;

const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Credentials and a contact. Its values cannot be printed.
#[derive(Clone, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Access {
    /// An address at which the operator of a public server reaches whoever runs this.
    pub contact: Option<String>,
    variables: BTreeMap<String, String>,
}

impl Access {
    /// What the environment holds: `AWS_*`, `GOOGLE_*` and `AZURE_*`.
    pub fn from_environment() -> Self {
        Self::new(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The variables of these that name credentials.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let variables = variables.into_iter().filter(|(name, _)| ours(name)).collect();
        Self { contact: None, variables }
    }

    /// The same with a contact.
    #[must_use]
    pub fn with_contact(self, contact: Option<String>) -> Self {
        Self { contact, ..self }
    }

    /// Variables whose name begins so, the names in lower case.
    pub(crate) fn variables(&self, prefix: &'static str) -> impl Iterator<Item = (String, &str)> {
        self.variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        f.debug_struct("Access").field("contact", &self.contact).field("variables", &names).finish()
    }
}
