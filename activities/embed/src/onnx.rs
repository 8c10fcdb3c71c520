//! ONNX: the format in which a network is handed to ONNX Runtime, written here as far as [`crate::graph`] needs it.
//!
//! ONNX Runtime's editor of graphs would spare this, but a session made by it knows no operators of our own. The
//! format is protobuf, by `onnx.proto` of ONNX 1.12 (IR version 8). A field of one message that comes
//! several times is merged by every reader, so that each part of the graph is appended as it is made, and
//! nothing is copied together at the end.

use half::f16;

/// Type numbers of `TensorProto`.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Float = 1,
    Int32 = 6,
    Int64 = 7,
    Float16 = 10,
}

/// An attribute of an operator.
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    Integer(i64),
    Float(f32),
    Integers(&'static [i64]),
}

/// A dimension: of a size, or of any.
#[derive(Clone, Copy)]
pub(crate) enum Dimension {
    Fixed(usize),
    Any,
}

/// A network in the making.
pub(crate) struct Model(Message);

/// Numbers of `ModelProto`, `GraphProto` and so on in `onnx.proto`.
mod field {
    pub(super) const MODEL_IR_VERSION: u32 = 1;
    pub(super) const MODEL_GRAPH: u32 = 7;
    pub(super) const MODEL_OPSET: u32 = 8;
    pub(super) const OPSET_DOMAIN: u32 = 1;
    pub(super) const OPSET_VERSION: u32 = 2;
    pub(super) const GRAPH_NODE: u32 = 1;
    pub(super) const GRAPH_NAME: u32 = 2;
    pub(super) const GRAPH_INITIALIZER: u32 = 5;
    pub(super) const GRAPH_INPUT: u32 = 11;
    pub(super) const GRAPH_OUTPUT: u32 = 12;
    pub(super) const NODE_INPUT: u32 = 1;
    pub(super) const NODE_OUTPUT: u32 = 2;
    pub(super) const NODE_NAME: u32 = 3;
    pub(super) const NODE_OPERATOR: u32 = 4;
    pub(super) const NODE_ATTRIBUTE: u32 = 5;
    pub(super) const NODE_DOMAIN: u32 = 7;
    pub(super) const ATTRIBUTE_NAME: u32 = 1;
    pub(super) const ATTRIBUTE_FLOAT: u32 = 2;
    pub(super) const ATTRIBUTE_INTEGER: u32 = 3;
    pub(super) const ATTRIBUTE_INTEGERS: u32 = 8;
    pub(super) const ATTRIBUTE_TYPE: u32 = 20;
    pub(super) const TENSOR_DIMENSION: u32 = 1;
    pub(super) const TENSOR_TYPE: u32 = 2;
    pub(super) const TENSOR_NAME: u32 = 8;
    pub(super) const TENSOR_BYTES: u32 = 9;
    pub(super) const VALUE_NAME: u32 = 1;
    pub(super) const VALUE_TYPE: u32 = 2;
    pub(super) const TYPE_TENSOR: u32 = 1;
    pub(super) const TENSOR_TYPE_ELEMENT: u32 = 1;
    pub(super) const TENSOR_TYPE_SHAPE: u32 = 2;
    pub(super) const SHAPE_DIMENSION: u32 = 1;
    pub(super) const DIMENSION_SIZE: u32 = 1;
    pub(super) const DIMENSION_NAME: u32 = 2;
}

const IR_VERSION: u64 = 8;

impl Model {
    /// A network without any operator yet, of these domains of operators in these versions.
    pub(crate) fn new(domains: &[(&str, u64)]) -> Self {
        let mut model = Message::default();
        model.number(field::MODEL_IR_VERSION, IR_VERSION);
        for &(domain, version) in domains {
            let mut opset = Message::default();
            opset.text(field::OPSET_DOMAIN, domain);
            opset.number(field::OPSET_VERSION, version);
            model.message(field::MODEL_OPSET, &opset);
        }
        let mut name = Message::default();
        name.text(field::GRAPH_NAME, "network");
        model.message(field::MODEL_GRAPH, &name);
        Self(model)
    }

    /// The bytes of the finished network.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.0
    }

    /// Declares an input.
    pub(crate) fn input(&mut self, name: &str, ty: Type, shape: &[Dimension]) {
        self.append(field::GRAPH_INPUT, &value(name, ty, shape));
    }

    /// Declares an output.
    pub(crate) fn output(&mut self, name: &str, ty: Type, shape: &[Dimension]) {
        self.append(field::GRAPH_OUTPUT, &value(name, ty, shape));
    }

    /// Adds an operator, named after its first output. A missing optional input is an empty name.
    pub(crate) fn node(
        &mut self,
        (domain, operator): (&str, &str),
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node.text(field::NODE_INPUT, input);
        }
        for output in outputs {
            node.text(field::NODE_OUTPUT, output);
        }
        node.text(field::NODE_NAME, outputs[0]);
        node.text(field::NODE_OPERATOR, operator);
        for &(name, value) in attributes {
            node.message(field::NODE_ATTRIBUTE, &attribute(name, value));
        }
        node.text(field::NODE_DOMAIN, domain);
        self.append(field::GRAPH_NODE, &node);
    }

    /// Adds a constant of 32-bit numbers.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.constant(name, Type::Float, shape, values.iter().map(|value| value.to_le_bytes()));
    }

    /// Adds a constant of 16-bit numbers.
    pub(crate) fn halves(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.constant(
            name,
            Type::Float16,
            shape,
            values.iter().map(|&value| f16::from_f32(value).to_le_bytes()),
        );
    }

    /// Adds a list of integers.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) {
        self.constant(name, Type::Int64, &[values.len()], values.iter().map(|value| value.to_le_bytes()));
    }

    fn constant<const WIDTH: usize>(
        &mut self,
        name: &str,
        ty: Type,
        shape: &[usize],
        values: impl ExactSizeIterator<Item = [u8; WIDTH]>,
    ) {
        let mut head = Message::default();
        for &size in shape {
            head.number(field::TENSOR_DIMENSION, size as u64);
        }
        head.number(field::TENSOR_TYPE, ty as u64);
        head.text(field::TENSOR_NAME, name);
        head.head(field::TENSOR_BYTES, values.len() * WIDTH);
        // The numbers go straight to their place, since there may be gigabytes of them.
        let tensor = head.0.len() + values.len() * WIDTH;
        let mut graph = Message::default();
        graph.head(field::GRAPH_INITIALIZER, tensor);
        self.0.head(field::MODEL_GRAPH, graph.0.len() + tensor);
        self.0.0.extend(graph.0);
        self.0.0.extend(head.0);
        self.0.0.extend(values.flatten());
    }

    fn append(&mut self, field: u32, part: &Message) {
        let mut graph = Message::default();
        graph.message(field, part);
        self.0.message(field::MODEL_GRAPH, &graph);
    }
}

fn value(name: &str, ty: Type, shape: &[Dimension]) -> Message {
    let mut dimensions = Message::default();
    for (at, &size) in shape.iter().enumerate() {
        let mut dimension = Message::default();
        match size {
            Dimension::Fixed(size) => dimension.number(field::DIMENSION_SIZE, size as u64),
            Dimension::Any => dimension.text(field::DIMENSION_NAME, &format!("{name}.{at}")),
        }
        dimensions.message(field::SHAPE_DIMENSION, &dimension);
    }
    let mut tensor = Message::default();
    tensor.number(field::TENSOR_TYPE_ELEMENT, ty as u64);
    tensor.message(field::TENSOR_TYPE_SHAPE, &dimensions);
    let mut kind = Message::default();
    kind.message(field::TYPE_TENSOR, &tensor);
    let mut value = Message::default();
    value.text(field::VALUE_NAME, name);
    value.message(field::VALUE_TYPE, &kind);
    value
}

fn attribute(name: &str, value: Attribute) -> Message {
    let mut attribute = Message::default();
    attribute.text(field::ATTRIBUTE_NAME, name);
    // The second number is the one of the type in `AttributeProto`.
    match value {
        Attribute::Float(value) => {
            attribute.float(field::ATTRIBUTE_FLOAT, value);
            attribute.number(field::ATTRIBUTE_TYPE, 1);
        }
        Attribute::Integer(value) => {
            attribute.number(field::ATTRIBUTE_INTEGER, value.cast_unsigned());
            attribute.number(field::ATTRIBUTE_TYPE, 2);
        }
        Attribute::Integers(values) => {
            for value in values {
                attribute.number(field::ATTRIBUTE_INTEGERS, value.cast_unsigned());
            }
            attribute.number(field::ATTRIBUTE_TYPE, 7);
        }
    }
    attribute
}

/// A protobuf message, or its beginning.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3));
        self.varint(value);
    }

    fn float(&mut self, field: u32, value: f32) {
        self.varint(u64::from(field << 3 | 5));
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u32, text: &str) {
        self.head(field, text.len());
        self.0.extend(text.as_bytes());
    }

    fn message(&mut self, field: u32, message: &Self) {
        self.head(field, message.0.len());
        self.0.extend(&message.0);
    }

    /// What stands before so many bytes.
    fn head(&mut self, field: u32, bytes: usize) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes as u64);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
