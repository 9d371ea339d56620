//! `include_model!` of the runtime: what a program would otherwise check and decode when it starts is
//! done while it is built, with the same code.

mod constant;
mod path;

use std::fs;
use std::path::Path;

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use tfc_formats::artifact::Artifact;

use constant::Constant;
use path::Argument;

/// `model!(crate, path)`: a `&'static Model` of the crate's, of a file that has been checked.
#[proc_macro]
pub fn model(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    syn::parse(input).and_then(include).unwrap_or_else(syn::Error::into_compile_error).into()
}

fn include(argument: Argument) -> syn::Result<TokenStream> {
    let Argument { runtime, path, expression, span } = argument;
    let file =
        fs::read(&path).map_err(|error| syn::Error::new(span, format!("{}: {error}", path.display())))?;
    let model = constants(&path, &file).map_err(|error| syn::Error::new(span, error))?;
    Ok(quote! {{
        use #runtime::constants::*;
        // For the compiler, which is to look at the file again when it changes.
        const _: &[u8] = include_bytes!(#expression);
        #model
    }})
}

/// An expression with constants for all that a file holds.
fn constants(path: &Path, file: &[u8]) -> Result<TokenStream, String> {
    let mut aligned = vec![0u128; file.len().div_ceil(size_of::<u128>())];
    let aligned = &mut bytemuck::cast_slice_mut(&mut aligned)[..file.len()];
    aligned.copy_from_slice(file);
    let artifact = Artifact::parse(aligned).map_err(|error| format!("{}: {error}", path.display()))?;

    let (needs, header) = (artifact.needs().bits(), artifact.header().constant());
    let steps = artifact.steps().map(|step| step.constant());
    let (count, sections) = (artifact.header().steps as usize, Literal::byte_string(artifact.sections()));
    Ok(quote! {
        static STEPS: [Step<'static>; #count] = [#(#steps),*];
        static SECTIONS: &Aligned<[u8]> = &Aligned(*#sections);
        static MODEL: Model<'static, #needs> =
            Model::constant(Artifact::constant(#header, Needs::from_bits(#needs), &STEPS, SECTIONS));
        &MODEL
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &[u8] = include_bytes!("../../tests/golden/example.tfc");

    #[test]
    fn records_become_constants() {
        let code = constants(Path::new("example.tfc"), EXAMPLE).unwrap().to_string();
        assert!(
            code.starts_with("static STEPS : [Step < 'static > ; 1usize] = [Step { name : \"fc\""),
            "{code}"
        );
        assert!(code.contains("Storage :: Csr { block : 1u8"), "{code}");
        assert!(code.contains("activation : Some (Activation :: Relu)"), "{code}");
    }

    #[test]
    fn a_damaged_file_does_not_become_a_program() {
        let mut file = EXAMPLE.to_vec();
        file[0x95] ^= 1;
        let error = constants(Path::new("example.tfc"), &file).unwrap_err();
        assert!(error.starts_with("example.tfc: CRC-32 is "), "{error}");
    }
}
