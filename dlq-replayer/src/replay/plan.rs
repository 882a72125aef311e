//! Which letters are replayed together, and in which order.

use std::collections::HashMap;

use crate::letter::Letter;

/// Letters of one stream of one build, in the order of the log: none may pass another. A record
/// without a stream stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) letters: Vec<&'a Letter>,
}

/// The keys of the letters, in the order of their first letters.
pub(super) fn keys(letters: &[Letter]) -> Vec<Key<'_>> {
    let mut keys: Vec<Key<'_>> = Vec::new();
    let mut places: HashMap<(&str, i32, &str, &str), usize> = HashMap::new();
    for letter in letters {
        let place = letter.stream_id.as_deref().map(|stream_id| {
            let key = (&*letter.projection, letter.generation, &*letter.topic, stream_id);
            *places.entry(key).or_insert(keys.len())
        });
        match place.and_then(|place| keys.get_mut(place)) {
            Some(key) => key.letters.push(letter),
            None => keys.push(Key { letters: vec![letter] }),
        }
    }
    for key in &mut keys {
        key.letters.sort_by_key(|letter| (letter.epoch, letter.log_offset));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::samples::a_letter;

    fn offsets(letters: &[Letter]) -> Vec<Vec<i64>> {
        keys(letters)
            .iter()
            .map(|key| key.letters.iter().map(|letter| letter.log_offset).collect())
            .collect()
    }

    #[test]
    fn letters_of_a_key_stand_in_log_order() {
        let letters =
            [a_letter(Some("a"), 1, 7), a_letter(Some("b"), 1, 5), a_letter(Some("a"), 1, 3)];
        assert_eq!(offsets(&letters), [vec![3, 7], vec![5]]);
    }

    #[test]
    fn an_older_life_of_the_topic_comes_first() {
        let newer = Letter { epoch: 2, ..a_letter(Some("a"), 9, 1) };
        let letters = [newer, a_letter(Some("a"), 1, 900)];
        assert_eq!(offsets(&letters), [vec![900, 1]]);
    }

    #[test]
    fn builds_and_projections_do_not_wait_for_each_other() {
        let letters = [
            a_letter(Some("a"), 1, 1),
            Letter { generation: 2, ..a_letter(Some("a"), 1, 2) },
            Letter { projection: "history".to_owned(), ..a_letter(Some("a"), 1, 3) },
        ];
        assert_eq!(offsets(&letters), [[1], [2], [3]]);
    }

    #[test]
    fn records_without_a_stream_stand_alone() {
        let letters = [a_letter(None, 1, 1), a_letter(None, 1, 2)];
        assert_eq!(offsets(&letters), [[1], [2]]);
    }
}
