//! Servers that trust operators: logins with tokens, accounts defined by tokens.

mod house;
mod live;
mod login;
mod made;
mod shown;
mod system;
mod url;
