//! Operators of our own, where ONNX Runtime's on the processor are slow: they do what its own do, faster.
//!
//! Each holds its weights, so that one is made for each step of the network, under the step's name. All of them go
//! through their input row by row: a row's result depends on that row alone, and rows can be shared among threads
//! in any way without moving a bit.

pub(crate) mod int8;
pub(crate) mod residual;

use std::sync::{Arc, Mutex, PoisonError};

use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType;

/// The domain of the operators.
pub(crate) const DOMAIN: &str = "wikitok";

/// Rows that one thread computes at a time: enough to use what it loads of a matrix more than once.
const ROWS: usize = 32;

/// What an operator does with rows of numbers.
pub(crate) trait ByRow: Send + Sync + 'static {
    /// Numbers in a row of each input.
    fn inputs(&self) -> &[usize];
    /// Numbers in a row of the output.
    fn outputs(&self) -> usize;
    /// Computes rows, given one after the other.
    fn compute(&self, inputs: &[&[f32]], output: &mut [f32]);
}

/// Adds the operator under the name.
pub(crate) fn add(domain: OperatorDomain, name: &str, work: Arc<dyn ByRow>) -> ort::Result<OperatorDomain> {
    domain.add(RowOperator { name: name.to_owned(), work })
}

struct RowOperator {
    name: String,
    work: Arc<dyn ByRow>,
}

impl Operator for RowOperator {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        &self.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        self.work.inputs().iter().map(|_| OperatorInput::required(TensorElementType::Float32))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let work = self.work.clone();
        Ok(Box::new(move |context: &ComputeContext| compute(&*work, context)))
    }
}

fn compute(work: &dyn ByRow, context: &ComputeContext) -> ort::Result<()> {
    let inputs = (0..work.inputs().len()).map(|at| context.input(at)?.ok_or_else(missing));
    let inputs = inputs.collect::<ort::Result<Vec<_>>>()?;
    let tensors = inputs.iter().map(|input| input.try_extract_tensor::<f32>());
    let tensors = tensors.collect::<ort::Result<Vec<_>>>()?;
    let mut shape = tensors.first().ok_or_else(missing)?.0.to_vec();
    let widths = tensors.iter().map(|(shape, _)| shape.last().copied().unwrap_or_default() as usize);
    if !widths.eq(work.inputs().iter().copied()) {
        return Err(ort::Error::new("an input is of another width than the weights"));
    }
    shape.pop();
    shape.push(work.outputs() as i64);
    let mut output = context.output(0, shape)?.ok_or_else(missing)?;
    let (_, output) = output.try_extract_tensor_mut::<f32>()?;
    let inputs: Vec<&[f32]> = tensors.into_iter().map(|(_, values)| values).collect();
    in_pieces(work, context, &inputs, output)
}

/// Shares the rows among the session's threads.
fn in_pieces(
    work: &dyn ByRow,
    context: &ComputeContext,
    inputs: &[&[f32]],
    output: &mut [f32],
) -> ort::Result<()> {
    let pieces: Vec<_> = output.chunks_mut(ROWS * work.outputs()).map(Mutex::new).collect();
    context.par_for(pieces.len(), 0, |at| {
        let mut output = pieces[at].lock().unwrap_or_else(PoisonError::into_inner);
        let rows = output.len() / work.outputs();
        let inputs: Vec<&[f32]> = inputs
            .iter()
            .zip(work.inputs())
            .map(|(input, width)| &input[at * ROWS * width..][..rows * width])
            .collect();
        work.compute(&inputs, &mut output);
    })
}

fn missing() -> ort::Error {
    ort::Error::new("an operator has not the inputs and outputs that it was made with")
}
