//! Compares packaging/cluster.schema.json with the loader, on the valid files of the tests: `config_accepts`
//! includes this file.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value =
        serde_json::from_str(include_str!("../../../packaging/cluster.schema.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
});

/// The complaints of the schema about a file. Empty if the schema accepts the file; a text that is not TOML is one
/// complaint.
pub fn complaints(text: &str) -> Vec<String> {
    let file: Value = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => return vec![error.to_string()],
    };
    let complaint =
        |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
    SCHEMA.iter_errors(&file).map(complaint).collect()
}
