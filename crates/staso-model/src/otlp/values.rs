//! OTLP's values, resources and scopes, both ways.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef as ProtoEntityRef, InstrumentationScope, KeyValue,
    KeyValueList, any_value::Value as Proto,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;

use crate::span::{EntityRef, Resource, Scope};
use crate::value::{Attributes, Value};

/// Attributes, in order, repeated keys included. An absent value is OTLP's empty value.
pub(super) fn list(proto: Vec<KeyValue>) -> Attributes {
    proto.into_iter().map(|kv| (kv.key, value(kv.value.unwrap_or_default()))).collect()
}

fn value(proto: AnyValue) -> Value {
    match proto.value {
        Some(Proto::StringValue(text)) => Value::String(text),
        Some(Proto::BoolValue(b)) => Value::Bool(b),
        Some(Proto::IntValue(n)) => Value::Int(n),
        Some(Proto::DoubleValue(x)) => Value::Double(x),
        Some(Proto::ArrayValue(array)) => {
            Value::Array(array.values.into_iter().map(value).collect())
        }
        Some(Proto::KvlistValue(kvlist)) => Value::Map(list(kvlist.values)),
        Some(Proto::BytesValue(bytes)) => Value::Bytes(bytes),
        None | Some(Proto::StringValueStrindex(_)) => Value::Null,
    }
}

/// The way back from [`list`].
pub(super) fn to_proto_list(attributes: &[(String, Value)]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| to_proto_pair(key.clone(), value)).collect()
}

/// One attribute.
pub(super) fn to_proto_pair(key: String, value: &Value) -> KeyValue {
    KeyValue { key, value: Some(to_proto(value)), key_strindex: 0 }
}

fn to_proto(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(b) => Some(Proto::BoolValue(*b)),
        Value::Int(n) => Some(Proto::IntValue(*n)),
        Value::Double(x) => Some(Proto::DoubleValue(*x)),
        Value::String(text) => Some(Proto::StringValue(text.clone())),
        Value::Bytes(bytes) => Some(Proto::BytesValue(bytes.clone())),
        Value::Array(items) => {
            Some(Proto::ArrayValue(ArrayValue { values: items.iter().map(to_proto).collect() }))
        }
        Value::Map(entries) => {
            Some(Proto::KvlistValue(KeyValueList { values: to_proto_list(entries) }))
        }
    };
    AnyValue { value }
}

pub(super) fn resource(proto: ProtoResource, schema_url: String) -> Resource {
    Resource {
        attributes: list(proto.attributes),
        dropped_attributes: proto.dropped_attributes_count,
        schema_url,
        entity_refs: proto.entity_refs.into_iter().map(entity).collect(),
    }
}

fn entity(proto: ProtoEntityRef) -> EntityRef {
    EntityRef {
        schema_url: proto.schema_url,
        kind: proto.r#type,
        id_keys: proto.id_keys,
        description_keys: proto.description_keys,
    }
}

pub(super) fn to_proto_entity(entity: &EntityRef) -> ProtoEntityRef {
    ProtoEntityRef {
        schema_url: entity.schema_url.clone(),
        r#type: entity.kind.clone(),
        id_keys: entity.id_keys.clone(),
        description_keys: entity.description_keys.clone(),
    }
}

pub(super) fn scope(proto: InstrumentationScope, schema_url: String) -> Scope {
    Scope {
        name: proto.name,
        version: proto.version,
        attributes: list(proto.attributes),
        dropped_attributes: proto.dropped_attributes_count,
        schema_url,
    }
}

pub(super) fn to_proto_scope(scope: &Scope) -> InstrumentationScope {
    InstrumentationScope {
        name: scope.name.clone(),
        version: scope.version.clone(),
        attributes: to_proto_list(&scope.attributes),
        dropped_attributes_count: scope.dropped_attributes,
    }
}
