//! Sends load, and says which instance answered, how evenly, and for how long nobody did.

fn main() {}
