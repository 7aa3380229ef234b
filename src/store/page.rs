//! Pages of a list by keyset: a cursor names the last row that was seen, so that deep pages cost
//! what the first one costs.

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<K> {
    /// Rows on the page, 1 to 200.
    pub limit: u32,
    /// The key of the last row of the page before.
    pub after: Option<K>,
}

impl<K> PageRequest<K> {
    /// The first rows of a list.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        let after = None;
        Self { limit, after }
    }

    /// One row more than asked for tells whether there is a next page.
    pub(super) fn fetch(&self) -> u64 {
        u64::from(self.limit) + 1
    }
}

/// A page, and the key from which the next one goes on.
#[derive(Debug, Clone)]
pub struct Page<T, K> {
    /// The rows.
    pub items: Vec<T>,
    /// None on the last page.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Cuts the row too many off, and takes the key of the last one that stays.
    pub(super) fn cut(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }
}
