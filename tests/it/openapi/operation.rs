use serde_json::{Map, Value, json};
use wealth_companion::api::openapi;

/// The OpenAPI document.
pub(super) struct Document(pub(super) Value);

/// An operation of it.
pub(super) struct Operation {
    pub(super) id: String,
    /// Upper case.
    pub(super) method: String,
    pub(super) path: String,
    pub(super) spec: Value,
}

impl Document {
    /// As the code makes it.
    pub(super) fn new() -> Self {
        Self(serde_json::to_value(openapi::document()).expect("JSON"))
    }

    pub(super) fn schemas(&self) -> &Map<String, Value> {
        self.0["components"]["schemas"]
            .as_object()
            .expect("schemas")
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods");
            methods.iter().map(|(method, spec)| Operation {
                id: spec["operationId"].as_str().expect("an id").to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                spec: spec.clone(),
            })
        });
        operations.collect()
    }

    /// A schema that stands alone: with everything that it may refer to, and no room for what is
    /// not documented.
    pub(super) fn schema_of(&self, schema: &Value) -> Value {
        let mut alone = schema.clone();
        let mut schemas = self.0["components"]["schemas"].clone();
        for schema in schemas.as_object_mut().expect("schemas").values_mut() {
            if schema.get("properties").is_some() {
                schema["additionalProperties"] = json!(false);
            }
        }
        alone["components"] = json!({"schemas": schemas});
        alone
    }

    /// Asserts that the value is what the schema says.
    #[track_caller]
    pub(super) fn check(&self, schema: &Value, value: &Value, about: &str) {
        let errors: Vec<String> = jsonschema::options()
            .should_validate_formats(true)
            .build(&self.schema_of(schema))
            .expect("a JSON Schema")
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{about}: {errors:#?} in {value:#}");
    }

    /// The example of a request's body: that of its schema.
    pub(super) fn example(&self, operation: &Operation) -> Option<Value> {
        let schema = operation.request_schema()?;
        let name = schema["$ref"]
            .as_str()
            .and_then(|reference| reference.rsplit('/').next());
        let name = name.unwrap_or_else(|| panic!("{}: the body has no name", operation.id));
        let example = self.schemas()[name]["example"].clone();
        assert!(
            example.is_object(),
            "{}: {name} has no example",
            operation.id
        );
        Some(example)
    }
}

impl Operation {
    pub(super) fn parameters(&self) -> Vec<&Value> {
        self.spec["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .collect()
    }

    /// A parameter's example, by the place and name of the parameter.
    pub(super) fn example_of(&self, place: &str) -> Vec<(String, String)> {
        let parameters = self.parameters().into_iter();
        parameters
            .filter(|parameter| parameter["in"] == place)
            .filter_map(|parameter| {
                let example = match &parameter["example"] {
                    Value::Null => return None,
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Some((parameter["name"].as_str()?.to_owned(), example))
            })
            .collect()
    }

    pub(super) fn request_schema(&self) -> Option<&Value> {
        self.spec
            .pointer("/requestBody/content/application~1json/schema")
    }

    /// The documented answer of this status.
    pub(super) fn response(&self, status: u16) -> &Value {
        let response = self.spec["responses"].get(status.to_string());
        response.unwrap_or_else(|| panic!("{} does not document {status}", self.id))
    }

    pub(super) fn documents(&self, status: u16) -> bool {
        self.spec["responses"].get(status.to_string()).is_some()
    }

    /// The one status of success.
    pub(super) fn success(&self) -> u16 {
        let responses = self.spec["responses"].as_object().expect("responses");
        let mut good = responses.keys().filter(|status| status.starts_with('2'));
        let status = good
            .next()
            .unwrap_or_else(|| panic!("{} never works", self.id));
        assert_eq!(good.next(), None, "{} works in two ways", self.id);
        status.parse().expect("a status")
    }
}
