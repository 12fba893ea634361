/*
 * The server's clock, as the browser knows it. Open spans grow to the server's now, not the laptop's, which may be minutes
 * off. Each answer that carries a time corrects the offset; the answer's travel time is small beside what is shown.
 */
import { nsToMs } from "@/model/format";

let offsetMs = 0;

export function observeServerTime(nowNs: string): void {
  const measured = nsToMs(nowNs) - Date.now();
  // Below this the two clocks agree as far as a request's travel time can tell, and bars should not jump.
  if (Math.abs(measured - offsetMs) > 250) offsetMs = measured;
}

export function serverNowMs(): number {
  return Date.now() + offsetMs;
}
