//! What the web layer promises, told over the store in memory.

mod common;
mod cookie;
mod layer;
mod secrets;
