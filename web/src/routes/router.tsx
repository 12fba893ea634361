/* Every view is a URL: the routes, and which screen each one shows. The trace view is loaded when it is first needed. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { Failure, Notice } from "@/ui/Notice";
import { Shell } from "./Shell";
import { parseSearch, rootSearch, stringifySearch, traceSearch, tracesSearch } from "./search";
import { TracesRoute } from "./TracesRoute";

const root = createRootRoute({
  validateSearch: rootSearch,
  component: Shell,
  notFoundComponent: () => (
    <Notice icon={Compass} title="There is no such page">
      <p>The address may be mistyped. The traces are one click away, at the top left.</p>
    </Notice>
  ),
});

const index = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: ({ search }) => {
    throw redirect({ to: "/traces", search, replace: true });
  },
});

const traces = createRoute({
  getParentRoute: () => root,
  path: "/traces",
  validateSearch: tracesSearch,
  component: TracesRoute,
});

const trace = createRoute({
  getParentRoute: () => root,
  path: "/traces/$traceId",
  validateSearch: traceSearch,
  component: lazyRouteComponent(() => import("./TraceRoute"), "TraceRoute"),
});

export const router = createRouter({
  routeTree: root.addChildren([index, traces, trace]),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultErrorComponent: ({ error, reset }) => (
    <Failure
      error={error instanceof Error ? error : new Error(String(error))}
      what="This screen failed"
      retry={reset}
    />
  ),
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
