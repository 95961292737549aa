//! A list that Go writes even where it is absent.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::null;

/// A Go slice without `omitempty`: `null` where the document leaves it out, `[]`
/// where it is there and empty. Both mean the same and hash differently; in all
/// else it is the `Vec` that it dereferences to.
///
/// The default is the absent list. What is made from elements is there, and so is
/// what was borrowed as a `&mut Vec`, as `push` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    present: bool,
    elements: Vec<T>,
}

impl<T> List<T> {
    /// Whether the document leaves the list out, or says `null`.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        !self.present
    }

    /// The elements, to be changed in place; an absent list stays absent.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.elements.iter_mut()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            present: false,
            elements: Vec::new(),
        }
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.elements
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.present = true;
        &mut self.elements
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(elements: Vec<T>) -> Self {
        Self {
            present: true,
            elements,
        }
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self::from(Vec::from_iter(elements))
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut List<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.present {
            self.elements.serialize(serializer)
        } else {
            serializer.serialize_unit()
        }
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
        Ok(elements
            .map(|elements| Self::from(null::filled(elements)))
            .unwrap_or_default())
    }
}
