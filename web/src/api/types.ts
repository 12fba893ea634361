/*
 * The shapes the server sends, by their short names. They are generated from the server's own description
 * (`npm run gen` writes schema.d.ts from api/openapi.json), so a change there that this code does not follow fails to
 * compile. 64-bit integers are decimal text; what the server does not know is null, never zero.
 */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Annotation = Schemas["Annotation"];
export type DataType = Schemas["DataType"];
export type FacetValue = Schemas["FacetValue"];
export type Health = Schemas["Health"];
export type LiveChange = Schemas["LiveChange"];
export type NewAnnotation = Schemas["NewAnnotation"];
export type Payload = Schemas["Payload"];
export type RunState = Schemas["State"];
export type Skeleton = Schemas["Skeleton"];
export type Span = Schemas["Span"];
export type SpanKind = Schemas["Kind"];
export type SpanStatus = Schemas["Status"];
export type TracePage = Schemas["TraceList"];
export type TraceRow = Schemas["TraceRow"];
export type Usage = Schemas["Usage"];
export type Workspace = Schemas["Workspace"];
