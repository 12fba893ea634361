/* The frame round every screen: the mark, where one is, the workspace, the zone, the theme and the help. */
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { CircleHelp, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { workspacesQuery } from "@/api/queries";
import { formatCompact } from "@/model/format";
import { IconButton } from "@/ui/controls";
import { HelpDialog } from "@/ui/HelpDialog";
import { useHotkeys, useLive } from "@/ui/hooks";
import { Logo } from "@/ui/marks";
import { Popover } from "@/ui/Popover";
import { isDark, usePrefs } from "@/ui/prefs";
import { useLastList } from "./lastList";
import { DEFAULT_WORKSPACE } from "./search";
import { useWorkspace } from "./useWorkspace";

export function Shell() {
  const workspace = useWorkspace();
  const list = useLastList((last) => last.search);
  const { theme, zone, toggleTheme, toggleZone } = usePrefs();
  const [help, setHelp] = useState(false);
  useHotkeys({ "?": () => setHelp(true), t: toggleTheme, u: toggleZone });
  const dark = isDark(theme);
  return (
    <div className="flex h-full flex-col">
      <header className="flex h-11 shrink-0 items-center gap-1 border-b border-line bg-surface px-3 sm:px-4">
        <Link
          to="/traces"
          search={(old) => ({ ...list, workspace: old.workspace })}
          className="flex items-center gap-2 rounded-md pr-1 text-base font-semibold tracking-tight"
        >
          <Logo />
          staso
        </Link>
        <nav aria-label="Main" className="ml-3 flex h-full items-stretch">
          <Link
            to="/traces"
            search={(old) => ({ ...list, workspace: old.workspace })}
            activeOptions={{ includeSearch: false }}
            className="relative flex items-center px-2 font-medium text-muted hover:text-ink aria-[current=page]:text-ink aria-[current=page]:after:absolute aria-[current=page]:after:inset-x-2 aria-[current=page]:after:bottom-0 aria-[current=page]:after:h-0.5 aria-[current=page]:after:bg-accent"
          >
            Traces
          </Link>
        </nav>
        <div className="ml-auto flex items-center gap-1">
          <LiveMark workspace={workspace} />
          <WorkspaceMenu workspace={workspace} />
          <button
            type="button"
            onClick={toggleZone}
            title="Show times in local time or UTC (u)"
            className="h-8 rounded-md px-2 text-xs font-medium text-muted hover:bg-sunken hover:text-ink"
          >
            {zone === "utc" ? "UTC" : "Local"}
          </button>
          <IconButton label={dark ? "Light theme (t)" : "Dark theme (t)"} onClick={toggleTheme}>
            {dark ? <Sun size={16} /> : <Moon size={16} />}
          </IconButton>
          <IconButton label="Keyboard help (?)" onClick={() => setHelp(true)}>
            <CircleHelp size={16} />
          </IconButton>
        </div>
      </header>
      <main className="min-h-0 flex-1">
        <Outlet />
      </main>
      <HelpDialog open={help} onClose={() => setHelp(false)} />
    </div>
  );
}

/** Says whether what is on the screen follows the server. */
function LiveMark({ workspace }: { workspace: string }) {
  const [up, setUp] = useState(true);
  useLive(workspace, (message) => {
    if (message.type === "state") setUp(message.up);
  });
  return (
    <span
      role="status"
      title={up ? "New data appears by itself" : "The connection to the server is interrupted; trying again"}
      className={`mr-1 inline-flex items-center gap-1.5 text-xs font-medium ${up ? "text-faint" : "text-warn"}`}
    >
      <span className={`size-2 rounded-full ${up ? "bg-ok" : "animate-breathe border border-warn"}`} />
      <span className={up ? "hidden sm:inline" : ""}>{up ? "Live" : "Offline"}</span>
    </span>
  );
}

function WorkspaceMenu({ workspace }: { workspace: string }) {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const { data } = useQuery(workspacesQuery());
  const known = data?.workspaces ?? [];
  const others = known.some((other) => other.slug !== workspace);
  if (!others && workspace === DEFAULT_WORKSPACE) return null;
  const go = (slug: string) => {
    setOpen(false);
    void navigate({ to: "/traces", search: { workspace: slug === DEFAULT_WORKSPACE ? undefined : slug } });
  };
  return (
    <Popover
      name="Workspace"
      align="end"
      open={open}
      onOpenChange={setOpen}
      label={<span className="max-w-24 truncate sm:max-w-40">{workspace}</span>}
    >
      {known.map(({ slug, traces }) => (
        <button
          key={slug}
          type="button"
          role="menuitemradio"
          aria-checked={slug === workspace}
          onClick={() => go(slug)}
          className={`flex h-8 w-full items-center gap-3 rounded px-2 text-left hover:bg-sunken ${slug === workspace ? "font-semibold text-accent" : ""}`}
        >
          <span className="flex-1 truncate">{slug}</span>
          <span className="text-xs text-faint tabular-nums">{formatCompact(Number(traces))}</span>
        </button>
      ))}
    </Popover>
  );
}
