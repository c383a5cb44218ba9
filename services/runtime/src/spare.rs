//! The memory of header maps, used again.
//!
//! An answer's map would cost two allocations for each request, when the request's own has just become free.

use std::cell::Cell;

use http::HeaderMap;

/// Larger ones are not kept: whoever sends a hundred headers shall not decide on what is resident.
const MOST: usize = 64;

thread_local! {
    static SPARE: Cell<Option<HeaderMap>> = const { Cell::new(None) };
}

/// An empty map.
pub(crate) fn headers() -> HeaderMap {
    SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
}

/// Keeps the memory of a map that nobody needs any more.
pub(crate) fn keep(mut headers: HeaderMap) {
    if (1..=MOST).contains(&headers.capacity()) {
        headers.clear();
        // Nothing is kept any more by a thread that ends.
        let _ = SPARE.try_with(|spare| spare.set(Some(headers)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::HOST;

    fn map(capacity: usize) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(capacity);
        map.insert(HOST, HeaderValue::from_static("test"));
        map
    }

    #[test]
    fn memory_is_used_again_without_what_was_in_it() {
        keep(map(10));
        let again = headers();
        assert!(again.is_empty() && again.capacity() >= 10);
        assert_eq!(headers().capacity(), 0, "it was only one");
    }

    #[test]
    fn neither_nothing_nor_much_is_kept() {
        keep(map(10));
        keep(map(1000));
        keep(HeaderMap::new());
        assert!((10..=MOST).contains(&headers().capacity()));
    }
}
