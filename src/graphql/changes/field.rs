//! `PersonalConnectorField`, the enum of the fields that a change may have. It is built from the table of fields.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexMap,
    parser::types::Field as AskedField,
    registry::{Deprecation, MetaEnumValue, MetaType, MetaTypeId, Registry},
};

use crate::{domain::field::ChangedField, graphql::list::List};

#[derive(Clone, Copy)]
pub(in crate::graphql) struct PersonalConnectorField(ChangedField);

impl PersonalConnectorField {
    pub(in crate::graphql) const fn new(field: ChangedField) -> Self {
        Self(field)
    }

    /// Returns the fields with these names.
    pub(in crate::graphql) fn list(names: Vec<&str>) -> List<Self> {
        let fields = names.into_iter().filter_map(ChangedField::from_name);
        fields.map(Self).collect()
    }
}

impl OutputType for PersonalConnectorField {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("PersonalConnectorField")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let value = |field: ChangedField| {
            let name = field.enum_value();
            let value = MetaEnumValue {
                name: name.clone(),
                description: Some(format!("The field `{}`.", field.name())),
                deprecation: Deprecation::NoDeprecated,
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                directive_invocations: Vec::new(),
            };
            (name, value)
        };
        registry.create_output_type::<Self, _>(MetaTypeId::Enum, |_| MetaType::Enum {
            name: Self::type_name().into_owned(),
            description: Some(
                "A field of a connector that a change may be of. Open to additions.".to_owned(),
            ),
            enum_values: ChangedField::all().map(value).collect::<IndexMap<_, _>>(),
            visible: None,
            inaccessible: false,
            tags: Vec::new(),
            rust_typename: Some(std::any::type_name::<Self>()),
            directive_invocations: Vec::new(),
            requires_scopes: Vec::new(),
        })
    }

    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<AskedField>,
    ) -> ServerResult<Value> {
        Ok(Value::Enum(Name::new(self.0.enum_value())))
    }
}
