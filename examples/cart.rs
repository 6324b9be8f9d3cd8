//! A cart two tabs share: `cargo run --example cart`.

use std::error::Error;

use sessile::{BlockingSessions, List, Map, MemoryStore, Policy, TokenUpdate};

/// How many of each article.
const CART: Map<u32> = Map::new("cart");
const VIEWED: List<String> = List::new("viewed");

fn main() -> Result<(), Box<dyn Error>> {
    let sessions = BlockingSessions::new(MemoryStore::new(), Policy::default());
    let mut session = sessions.open(None)?;
    session.set(&CART.entry("tea"), 1)?;
    let finished = sessions.commit(session)?;
    let TokenUpdate::Issue(token) = finished.token_update() else {
        return Err("a new session has a token".into());
    };
    let token = token.expose();

    // Both tabs load before either writes.
    let mut one = sessions.open(Some(token.as_str()))?;
    let mut other = sessions.open(Some(token.as_str()))?;
    one.update(&CART.entry("tea"), |count| *count += 1)?;
    one.push(&VIEWED, "tea".into())?;
    other.update(&CART.entry("tea"), |count| *count += 1)?;
    other.set(&CART.entry("cake"), 2)?;
    other.push(&VIEWED, "cake".into())?;
    let _ = sessions.commit(one)?; // The client keeps its token.
    let _ = sessions.commit(other)?;

    let session = sessions.open(Some(token.as_str()))?;
    let cart = session.entries(&CART).collect::<Result<Vec<_>, _>>()?;
    let viewed = session.items(&VIEWED).collect::<Result<Vec<_>, _>>()?;
    println!("cart {cart:?}, viewed {viewed:?}");
    assert_eq!(cart, [("cake", 2), ("tea", 3)]);
    assert_eq!(viewed.len(), 2);
    Ok(())
}
