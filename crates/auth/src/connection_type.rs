//! How a connection came in, and which ways a user may come in.
//!
//! Laws: an empty set allows every way.
//! Reference: client.go connectionTypeAllowed, convertAllowedConnectionTypes.

use std::fmt;

/// The way a client reached the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionType {
    /// NATS over TCP or TLS.
    Standard,
    /// NATS over WebSocket.
    Websocket,
    /// A leaf node over TCP or TLS.
    Leafnode,
    /// A leaf node over WebSocket.
    LeafnodeWs,
    /// MQTT over TCP or TLS.
    Mqtt,
    /// MQTT over WebSocket.
    MqttWs,
    /// A client in the process of the server.
    InProcess,
}

impl ConnectionType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Standard,
        Self::Websocket,
        Self::Leafnode,
        Self::LeafnodeWs,
        Self::Mqtt,
        Self::MqttWs,
        Self::InProcess,
    ];

    /// The name in configuration files and claims.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Websocket => "WEBSOCKET",
            Self::Leafnode => "LEAFNODE",
            Self::LeafnodeWs => "LEAFNODE_WS",
            Self::Mqtt => "MQTT",
            Self::MqttWs => "MQTT_WS",
            Self::InProcess => "IN_PROCESS",
        }
    }

    /// The type of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }
}

/// A set of connection types; the empty set allows all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionTypes(u8);

/// Names that are no connection types; the text is the one the reference prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid connection types [{}]", quoted(.0))]
pub struct UnknownConnectionTypes(pub Vec<String>);

impl ConnectionTypes {
    /// The set of the named types, and the names that are unknown, in upper case. A caller that
    /// must not widen access refuses an empty set beside unknown names.
    // Compat(AUTH-008)
    pub fn from_names<S: AsRef<str>>(
        names: impl IntoIterator<Item = S>,
    ) -> (Self, Option<UnknownConnectionTypes>) {
        let (mut set, mut unknown) = (Self::default(), Vec::new());
        for name in names {
            match ConnectionType::from_name(name.as_ref()) {
                Some(known) => set.insert(known),
                None => unknown.push(name.as_ref().to_uppercase()),
            }
        }
        (set, (!unknown.is_empty()).then_some(UnknownConnectionTypes(unknown)))
    }

    /// Adds one type.
    pub fn insert(&mut self, member: ConnectionType) {
        self.0 |= 1 << member as u8;
    }

    /// Whether a user with this set may come in by `way`.
    pub fn allows(self, way: ConnectionType) -> bool {
        self.0 == 0 || self.0 & (1 << way as u8) != 0
    }

    /// The listed types.
    pub fn iter(self) -> impl Iterator<Item = ConnectionType> {
        ConnectionType::ALL.into_iter().filter(move |t| self.0 & (1 << *t as u8) != 0)
    }
}

impl fmt::Debug for ConnectionTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| stdx::go_text::quote(n.as_bytes())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: AUTH-008
    #[test]
    fn names_are_read_in_any_case() {
        let (set, unknown) = ConnectionTypes::from_names(["standard", "Mqtt_WS", "IN_PROCESS"]);
        assert!(unknown.is_none());
        for way in ConnectionType::ALL {
            let want = matches!(
                way,
                ConnectionType::Standard | ConnectionType::MqttWs | ConnectionType::InProcess
            );
            assert_eq!(set.allows(way), want, "{}", way.name());
            assert!(ConnectionTypes::default().allows(way));
            assert_eq!(ConnectionType::from_name(way.name()), Some(way));
        }
    }

    // Contract: AUTH-008
    #[test]
    fn unknown_names_are_told() {
        let (set, unknown) = ConnectionTypes::from_names(["x", "STANDARD", "y z"]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [ConnectionType::Standard]);
        assert_eq!(unknown.unwrap().to_string(), r#"invalid connection types ["X" "Y Z"]"#);
    }
}
