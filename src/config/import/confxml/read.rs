//! The attributes of a document, each of which is used, or else said to be left out. Pure.

use std::cell::RefCell;
use std::collections::HashMap;

use roxmltree::{Document, Node, NodeId};

use super::super::draft::{self, Draft};

/// So many attributes that are left out are quoted.
const MOST: usize = 200;

/// What was made of attributes: nothing when something was, and otherwise why it was not.
#[derive(Default)]
pub(super) struct Read {
    seen: RefCell<HashMap<(NodeId, String), Option<String>>>,
}

impl Read {
    /// Takes an attribute that is there, unless `read` says why not.
    pub(super) fn take<T>(
        &self,
        node: Node<'_, '_>,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = node.attribute(name)?;
        let result = draft::is_text(text).and_then(|()| read(text.trim()));
        let (value, why) = match result {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(left_out(&why))),
        };
        self.seen.borrow_mut().insert((node.id(), name.to_owned()), why);
        value
    }

    /// Nothing can be made of an attribute.
    pub(super) fn refuse(&self, node: Node<'_, '_>, name: &str, why: &str) {
        self.seen.borrow_mut().insert((node.id(), name.to_owned()), Some(left_out(why)));
    }

    /// The same for all attributes of an element.
    pub(super) fn refuse_all(&self, node: Node<'_, '_>, why: &str) {
        node.attributes().for_each(|attribute| self.refuse(node, attribute.name(), why));
    }

    /// There is no need for an element, or something else for it.
    pub(super) fn explain(&self, node: Node<'_, '_>, why: &str) {
        for attribute in node.attributes() {
            self.seen.borrow_mut().insert((node.id(), attribute.name().to_owned()), Some(why.to_owned()));
        }
    }

    /// Something was made of an attribute.
    pub(super) fn used(&self, node: Node<'_, '_>, name: &str) {
        self.seen.borrow_mut().insert((node.id(), name.to_owned()), None);
    }

    /// Whether an element is switched on.
    pub(super) fn is_on(&self, node: Node<'_, '_>) -> bool {
        let is_on = self.take(node, "start", |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("neither true nor false, and so not in use".to_owned()),
        });
        is_on == Some(true)
    }

    /// Says of every attribute that nothing was made of that it is left out, or not needed.
    pub(super) fn leftovers(&self, document: &Document<'_>, draft: &mut Draft) {
        let (seen, mut count) = (self.seen.borrow(), 0);
        // Where nothing is mirrored, only what decides that was looked at.
        let all = !draft.is_empty();
        for node in document.root_element().descendants().filter(|node| *node != document.root_element()) {
            for attribute in node.attributes() {
                let is_off = |node: &Node<'_, '_>| node.attribute("start").is_some_and(|start| start.trim() == "false");
                let why = match seen.get(&(node.id(), attribute.name().to_owned())) {
                    Some(None) => continue,
                    Some(Some(why)) => why.clone(),
                    None if !all => continue,
                    None if attribute.name() == "start" && is_off(&node) => continue,
                    None if node.ancestors().any(|above| is_off(&above)) => {
                        "left out: it is switched off by start=\"false\"".to_owned()
                    }
                    None => "left out: nothing goes by it".to_owned(),
                };
                count += 1;
                if count > MOST {
                    draft.say("What else is left out is not quoted: there is too much.");
                    return;
                }
                let (line, tag, name) = (line(node), node.tag_name().name(), attribute.name());
                draft.say(&format!("Line {line}: <{tag} {name}=\"{}\">: {why}", attribute.value()));
            }
        }
    }
}

fn left_out(why: &str) -> String {
    format!("left out: {}", why.strip_prefix("left out: ").unwrap_or(why))
}

/// The line where an element begins, from 1 on.
pub(super) fn line(node: Node<'_, '_>) -> usize {
    let before = node.document().input_text().get(..node.range().start).unwrap_or_default();
    1 + before.matches('\n').count()
}
