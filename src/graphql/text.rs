//! Text of a response, counted as it is written.
//!
//! Invariant: potentially long text of a response is a [`Text`], and potentially many items are a [`List`]. The
//! operation's complexity bounds all other fields.

use std::{borrow::Cow, marker::PhantomData};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    parser::types::Field as AskedField, registry::Registry,
};

use super::{
    context::{Request, failed},
    list::List,
    scalars::{Json, Url, raw},
};

/// Text of the GraphQL type `T`. It becomes an error after the response exceeded its bytes.
pub(in crate::graphql) struct Text<'a, T = String>(Cow<'a, str>, PhantomData<fn() -> T>);

impl<'a, T> Text<'a, T> {
    pub(in crate::graphql) fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self(text.into(), PhantomData)
    }

    pub(in crate::graphql) fn list(texts: &'a [String]) -> List<Self> {
        texts.iter().map(Self::new).collect()
    }
}

/// A type whose values are text, and the text's form in a response.
pub(in crate::graphql) trait OfText: OutputType {
    fn value(text: String) -> Value {
        Value::String(text)
    }
}

impl OfText for String {}

impl OfText for Url {}

impl OfText for Json {
    fn value(text: String) -> Value {
        raw(text)
    }
}

impl<T: OfText> OutputType for Text<'_, T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<AskedField>,
    ) -> ServerResult<Value> {
        let budget = &context.data_unchecked::<Request>().budget;
        match budget.write(self.0.len()) {
            Ok(()) => Ok(T::value(self.0.to_string())),
            Err(error) => Err(failed(error, context, field)),
        }
    }
}
