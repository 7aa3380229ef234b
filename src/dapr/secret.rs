//! Secrets of the secret store.

use std::collections::HashMap;

use secrecy::SecretString;

use super::{Sidecar, SidecarError, accepted, send, unreachable};

impl Sidecar {
    /// The values of a secret, by their keys.
    ///
    /// # Errors
    /// There is no such secret, this process may not read it, or the store is away: the sidecar's
    /// words tell which.
    pub async fn secret(
        &self,
        store: &str,
        name: &str,
    ) -> Result<HashMap<String, SecretString>, SidecarError> {
        let request = self.http.get(self.url(&["secrets", store, name])?);
        let answer = accepted(send("secret", request).await?).await?;
        let body = answer.bytes().await.map_err(unreachable)?;
        if body.is_empty() {
            return Ok(HashMap::new());
        }
        let values: HashMap<String, String> = serde_json::from_slice(&body)
            // Without the parser's words: they may repeat what it read.
            .map_err(|_| SidecarError::Unreadable("not names and texts".to_owned()))?;
        Ok(values
            .into_iter()
            .map(|(key, value)| (key, SecretString::from(value)))
            .collect())
    }
}
