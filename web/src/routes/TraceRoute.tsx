export function TraceRoute() {
  return null;
}
