//! Compares names and words.
//!
//! Invariant: only this module folds and splits text, both to store and to search it. So every database gives the same
//! results.

pub(crate) mod spelling;
mod words;

pub(crate) use words::{
    display, located, located_in_connector_id, of_connector_id, of_owner, searched, split, whole,
    words,
};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The most bytes of a folded name that order, uniqueness and cursors use. A folded name is rarely longer than the
/// name. But a hundred Hangul syllables fold into 900 bytes, and a cursor must contain the key.
const NAME_KEY_BYTES: usize = 600;

/// Folds case, accents and compatibility forms: NFKD, without marks, in lower case. `fold("Éclair ﬁne") == "eclair
/// fine"`. Folding is idempotent.
pub(crate) fn fold(text: &str) -> String {
    let once = text.nfkd().filter(|c| !is_combining_mark(*c));
    // Lower case may add marks. None in today's Unicode passes the filter, but no rule forbids it.
    once.flat_map(char::to_lowercase)
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        // Lower case of single letters has one sigma. A final sigma in the input becomes the same one.
        .map(|c| if c == 'ς' { 'σ' } else { c })
        .collect()
}

/// Returns the key of a client's text. NUL is replaced, because PostgreSQL refuses it and no name contains it.
pub(crate) fn given_key(name: &str) -> String {
    name_key(name).replace('\0', "\u{fffd}")
}

/// Returns the key that orders a name and makes it unique: the folded name, cut to 600 bytes.
pub fn name_key(name: &str) -> String {
    let mut key = fold(name);
    key.truncate(key.floor_char_boundary(NAME_KEY_BYTES));
    key
}

/// Returns the first text, by bytes, after all texts with a folded prefix; none if there is none.
pub(crate) fn behind(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The numbers of surrogates are no characters.
        let next = (u32::from(last) + 1..).take(0x801).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folds_case_accents_and_compatibility_forms() {
        for (text, folded) in [
            ("Éclair", "eclair"),
            ("İstanbul", "istanbul"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("ὀδυσσεύς", "οδυσσευσ"),
            ("ﬁne", "fine"),
            ("Ａ１", "a1"),
            ("Straße", "straße"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn bounds_the_key() {
        assert_eq!(name_key(&"각".repeat(100)).len(), 600);
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }

        #[test]
        fn what_begins_with_a_prefix_is_before_what_is_behind(prefix in any::<String>(), rest in any::<String>(),
            other in any::<String>()) {
            let is_before = |text: &str| behind(&prefix).is_none_or(|end| text < end.as_str());
            let whole = format!("{prefix}{rest}");
            prop_assert!(is_before(&whole));
            prop_assert_eq!(other >= prefix && is_before(&other), other.starts_with(&prefix));
        }
    }
}
