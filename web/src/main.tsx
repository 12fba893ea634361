/* Where the dashboard starts: the query client, the router, the theme. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { router } from "./routes/router";
import "./styles.css";
import { followTheme } from "./ui/prefs";

const client = new QueryClient({
  defaultOptions: { queries: { refetchOnWindowFocus: true, gcTime: 5 * 60_000 } },
});

followTheme();

const element = document.getElementById("root");
if (!element) throw new Error("index.html has no #root");
createRoot(element).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
