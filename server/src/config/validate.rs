//! Refuses settings that cannot work or are not safe, before anything starts.

use super::{Config, ConfigError, Environment};

impl Config {
    /// Checks what types cannot say.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.at_least_one()?;
        self.consistent()?;
        self.safe_in_production()
    }

    fn at_least_one(&self) -> Result<(), ConfigError> {
        let counts = [
            ("database.interactive_connections", self.database.interactive_connections),
            ("database.sync_connections", self.database.sync_connections),
            ("database.sign_in_connections", self.database.sign_in_connections),
            ("database.report_connections", self.database.report_connections),
            ("http.max_body_bytes", self.http.max_body_bytes),
            ("auth.concurrent_password_checks", self.auth.concurrent_password_checks),
            ("graphql.max_depth", self.graphql.max_depth),
            ("graphql.default_page_rows", self.graphql.default_page_rows),
            ("sync.max_batch_mutations", self.sync.max_batch_mutations),
            ("sync.max_frame_bytes", self.sync.max_frame_bytes),
            ("sync.page_rows", self.sync.page_rows),
            ("sync.concurrent_requests", self.sync.concurrent_requests),
            ("sync.queued_requests", self.sync.queued_requests),
            ("sync.tombstone_days", self.sync.tombstone_days.into()),
            ("sync.device_expiry_days", self.sync.device_expiry_days.into()),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => refuse(format!("the setting `{key}` must be at least 1")),
            None => Ok(()),
        }
    }

    fn consistent(&self) -> Result<(), ConfigError> {
        let not_above = [
            (
                "graphql.default_page_rows",
                self.graphql.default_page_rows,
                "graphql.max_page_rows",
                self.graphql.max_page_rows,
            ),
            ("sync.max_frame_bytes", self.sync.max_frame_bytes, "sync.max_request_bytes", self.sync.max_request_bytes),
            (
                "sync.max_request_bytes",
                self.sync.max_request_bytes,
                "sync.max_bodies_bytes",
                self.sync.max_bodies_bytes,
            ),
        ];
        for (key, value, limit_key, limit) in not_above {
            if value > limit {
                return refuse(format!("the setting `{key}` is {value}, above `{limit_key}`, which is {limit}"));
            }
        }
        Ok(())
    }

    fn safe_in_production(&self) -> Result<(), ConfigError> {
        let public = !self.http.listen.ip().is_loopback();
        if self.environment == Environment::Production && public && !self.http.behind_tls_proxy {
            return refuse(format!(
                "`http.listen` is {}, which others can reach, and nothing says that their traffic is encrypted; put a proxy \
                 that speaks TLS in front and set `http.behind_tls_proxy = true`, or listen on 127.0.0.1",
                self.http.listen
            ));
        }
        Ok(())
    }
}

fn refuse(message: String) -> Result<(), ConfigError> {
    Err(ConfigError(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn production_is_not_served_in_the_open_by_accident() {
        let mut config = Config { environment: Environment::Production, ..Config::default() };
        config.validate().unwrap();
        config.http.listen = "0.0.0.0:8080".parse().unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("behind_tls_proxy"));
        config.http.behind_tls_proxy = true;
        config.validate().unwrap();
    }

    #[test]
    fn a_pool_without_connections_is_refused() {
        let mut config = Config::default();
        config.database.sync_connections = 0;
        assert!(config.validate().unwrap_err().to_string().contains("database.sync_connections"));
    }
}
