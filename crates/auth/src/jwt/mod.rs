//! The tokens of operator mode: operators vouch for accounts, accounts for users.
//!
//! `token` reads, verifies and writes any of them; `operator`, `account`, `user`, `activation` are
//! what they say; `validate` finds what is wrong with it; `template` and `window` are what a user's
//! limits come to.
//!
//! Not here: whom a server trusts and who may log in (`authenticate`), where tokens come from.
//! Laws: pure; a token is believed only after its issuer's signature; text from outside never
//!       panics and costs no more than its length.

pub mod account;
pub mod activation;
pub mod authorization;
pub mod error;
pub mod generic;
pub mod limits;
pub mod operator;
mod read;
pub mod scope;
pub mod share;
mod subject;
pub mod template;
#[cfg(test)]
mod tests;
pub mod token;
pub mod user;
pub mod validate;
mod version1;
pub mod window;

pub use account::{Account, AccountClaims};
pub use activation::{Activation, ActivationClaims};
pub use error::{EncodeError, JwtError};
pub use generic::GenericClaims;
pub use operator::{Operator, OperatorClaims};
pub use token::{Body, Claims, decode_generic, undecorated};
pub use user::{User, UserClaims};
pub use validate::{Issue, Issues};
