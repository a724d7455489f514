// What the pages of the crew say of one of a few values, in English: `sayIn` gives the page's language.
import { markIn } from "../engagement/words.js";

/** The phases of a segment. */
export const PHASES = {
  draft: markIn("phase", "draft"),
  armed: markIn("phase", "armed"),
  open: markIn("phase", "open"),
  closing: markIn("phase", "closing"),
  sealed: markIn("phase", "sealed"),
  drawn: markIn("phase", "drawn"),
  published: markIn("phase", "published"),
  void: markIn("phase", "void"),
  spoiled: markIn("phase", "spoiled"),
};
