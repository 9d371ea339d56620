//! From a [`Graph`] to the text of a description.

use std::format;
use std::string::String;
use std::vec::Vec;

use toml::Value;

use super::fields::{fields, number};
use super::{Graph, GraphNode};
use crate::preprocess::{ChannelOrder, Layout, Preprocess, Resize};

/// Comment lines, without their `#`, for a person who completes a description.
#[derive(Default)]
pub(in super::super) struct Comments {
    /// At the top.
    pub(in super::super) head: Vec<String>,
    /// Under `[input]`.
    pub(in super::super) input: Vec<String>,
    /// Above each node; may be shorter than there are nodes.
    pub(in super::super) nodes: Vec<Vec<String>>,
    /// At the end.
    pub(in super::super) tail: Vec<String>,
}

impl Graph {
    /// The text of the description.
    pub(in super::super) fn to_text(&self, comments: &Comments) -> String {
        let mut out = Text::default();
        out.comments(&comments.head);
        if !self.name.is_empty() {
            out.field("name", self.name.as_str());
        }
        let input = self.input_name();
        if self.output != self.nodes.len() {
            out.field("output", self.value_name(self.output, &input));
        }
        out.section("[input]");
        out.comments(&comments.input);
        if input != "input" {
            out.field("name", input.as_str());
        }
        let shape = self.input;
        let extents = if shape.is_vector() { &[shape.c][..] } else { &[shape.c, shape.h, shape.w] };
        out.field("shape", extents.to_vec());
        out.preprocess(&self.preprocess);
        for (index, node) in self.nodes.iter().enumerate() {
            out.section("");
            out.comments(comments.nodes.get(index).map_or(&[][..], Vec::as_slice));
            out.line("[[node]]");
            self.node(index, node, &input, &mut out);
        }
        if !comments.tail.is_empty() {
            out.section("");
            out.comments(&comments.tail);
        }
        out.0
    }

    fn node(&self, index: usize, node: &GraphNode, input: &str, out: &mut Text) {
        out.field("name", node.name.as_str());
        out.field("op", node.op.name());
        if node.inputs != [index] {
            let names: Vec<&str> = node.inputs.iter().map(|&v| self.value_name(v, input)).collect();
            out.field("inputs", names);
        }
        for (key, value) in fields(node) {
            out.field(key, value);
        }
    }

    fn value_name<'a>(&'a self, value: usize, input: &'a str) -> &'a str {
        value.checked_sub(1).map_or(input, |node| &self.nodes[node].name)
    }

    /// A name for the input that no node has.
    fn input_name(&self) -> String {
        let mut name = String::from("input");
        while self.nodes.iter().any(|n| n.name == name) {
            name.push('_');
        }
        name
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// An empty line, unless at the top, then the header if it is not empty.
    fn section(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.line("");
        }
        if !header.is_empty() {
            self.line(header);
        }
    }

    fn comments(&mut self, lines: &[String]) {
        for line in lines {
            self.line(&format!("# {line}"));
        }
    }

    fn field(&mut self, key: &str, value: impl Into<Value>) {
        self.line(&format!("{key} = {}", value.into()));
    }

    fn preprocess(&mut self, p: &Preprocess) {
        let list = |values: &[f32]| Value::Array(values.iter().copied().map(number).collect());
        self.section("[preprocess]");
        self.field("scale", number(p.scale));
        if !p.mean.is_empty() {
            self.field("mean", list(&p.mean));
        }
        if !p.std.is_empty() {
            self.field("std", list(&p.std));
        }
        let order = match p.order {
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
        };
        let layout = match p.layout {
            Layout::Chw => "chw",
            Layout::Hwc => "hwc",
        };
        self.field("order", order);
        self.field("layout", layout);
        match p.resize {
            Resize::Refuse => {}
            Resize::Crop => self.field("resize", "crop"),
            Resize::Shorter(side) => self.line(&format!("resize = {{ shorter = {side} }}")),
            Resize::Exact([rows, columns]) => {
                self.line(&format!("resize = {{ exact = [{rows}, {columns}] }}"))
            }
        }
    }
}
