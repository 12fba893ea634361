/* Sets the theme before the first paint: the person's choice if there is one, else what the system prefers. */
(() => {
  let choice = "system";
  try {
    choice = JSON.parse(localStorage.getItem("staso.prefs") ?? "{}").state?.theme ?? "system";
  } catch {
    /* A broken or forbidden store means no choice was made. */
  }
  const dark =
    choice === "dark" || (choice === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
