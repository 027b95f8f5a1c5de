//! Fixtures shared by every test: servers, peers, raw clients, certificates.
