// What the pages of the live side say of one of a few values, in English: `say` gives the page's language.
import { mark } from "./words.js";

/** What everybody is told at each moment. */
export const MOMENTS = {
  idle: mark("The show is about to begin. Keep this page open."),
  armed: mark("Next: be ready to shake."),
  soon: mark("Shaking starts in"),
  open: mark("Shake!"),
  closing: mark("Time is up. Counting the last shakes …"),
  sealed: mark("The entries are sealed. The draw is next."),
  drawn: mark("Drawn! The winners are about to be announced."),
  published: mark("And the winners are"),
  spoiled: mark("This segment got no seal in time. Nothing is drawn; its list of entries stays public."),
  void: mark("This segment was called off. Nothing is drawn."),
};

/** How the connection is. */
export const STATUSES = {
  connecting: mark("Connecting …"),
  connected: mark("Connected"),
  waiting: mark("No answer yet, trying again. What you have shaken is kept."),
  offline: mark("No connection. Trying again in {seconds} s. What you have shaken is kept."),
  overloaded: mark("Very many phones are here. Trying again in {seconds} s. What you have shaken is kept."),
  refused: mark("This does not work: {message}"),
};

/** Why this phone does not take part, by the code of the refusal. */
export const REFUSED = {
  no_guests: mark("This show takes viewers of its apps only."),
  no_way: mark(
    "Many phones come from your network, and this page cannot prove that yours is one. Try mobile data, "
    + "or another browser.",
  ),
  revoked: mark("Your pass was taken back by the crew of this show."),
  no_such_show: mark("This show is not on air."),
  forgotten: mark("You have told this device, on another page, to forget you."),
  replaced: mark("This show is open in newer tabs or on other devices of yours, and your shakes count there."),
};

/** Why it has to wait, by the code, where that says more than the status. */
export const OVERLOADED = {
  too_many: mark(
    "Your network has had its places for this hour. Try mobile data; this page tries again in "
    + "{minutes} min.",
  ),
};

/** How shakes are counted, and why by taps. */
export const SENSOR = {
  on: mark("Shake your phone, or tap anywhere."),
  insecure: mark(
    "Browsers give a page the motion sensor only over https. This page came over http, so please tap "
    + "anywhere.",
  ),
  missing: mark("This device has no motion sensor, so please tap anywhere."),
  silent: mark("The motion sensor of this device says nothing, so please tap anywhere."),
  denied: mark(
    "The motion sensor was not allowed, so please tap anywhere. It can be allowed in the browser's "
    + "settings.",
  ),
};

/** What this phone has found of a signed total. */
export const STUBS = {
  checked: mark(
    "The server has signed that {total} of your shakes are counted. This phone has checked the signature "
    + "and keeps it.",
  ),
  kept: mark(
    "The server has signed that {total} of your shakes are counted. This phone keeps it; this browser "
    + "cannot check the signature, so it is not checked.",
  ),
  wrong: mark(
    "The server has sent a signed total of {total} shakes whose signature is wrong. Save the file and "
    + "show it to the organiser: it should not happen.",
  ),
};

/** And what the sealed roll makes of it. */
export const COMPARED = {
  equal: mark("Draw {draw}: the roll gives you {tickets}; promised: {promised}. It is as it must be."),
  too_few: mark("Draw {draw}: your signed total is below the smallest that gets a ticket."),
  shared: mark(
    "Draw {draw}: your signed total is worth {promised}, but more guests of your neighbourhood in the "
    + "network took part than the rules let count. You are on the public list of those who do not count.",
  ),
  less: mark(
    "Draw {draw}: THE SERVER PROMISED MORE THAN THE ROLL HAS. Your signed total is worth {promised}, the "
    + "roll gives you {tickets}. Save the file above and the receipt on the page of the draw, and complain "
    + "to the organiser, the notary or the broadcaster: the two files prove it to anybody, unless you were "
    + "excluded from the draw.",
  ),
  less_uncertified: mark(
    "Draw {draw}: your signed total is worth {promised}, the roll gives you {tickets}, and the key of "
    + "the signature is not in the ledger of the show. Save the file above and complain to the organiser, "
    + "the notary or the broadcaster.",
  ),
  uncertified: mark(
    "Draw {draw}: the roll gives you {tickets}, as promised, but the key of the signature is not in the "
    + "ledger of the show.",
  ),
};

export const WORKING = mark(
  "Many phones come from your network: yours proves that it is one, this takes a few seconds ({seconds} s).",
);
export const WRONG_CODE = mark(
  "This code is not taken. It changes every minute: type the newest one, or try mobile data.",
);
export const FAILED = mark("It could not be compared: {message}. This page tries again by itself.");

export const SEAL_MEANS = mark("Nobody can change who takes part now, not even we. This number proves it.");
export const SEAL_BECAUSE = mark(
  "It is made from the rules, from everybody who takes part and from their tickets. The big screen and the "
  + "page of the draw show the same one. If anything in it were changed, it would be another number.",
);
export const BEACON_NOTE = mark("A public number that nobody knows yet decides who wins.");
export const LOST_NOTE = mark("Thank you for shaking along. Every ticket had the same chance.");
export const CLAIMED_NEXT = mark(
  "The organiser has your claim. Keep this phone and the data of this page until you hold the prize: they "
  + "prove that it is you.",
);
export const ELSEWHERE = mark("Another page of yours counts. Touch this one to count here.");
export const SLEPT = mark("Your phone was asleep. All of it is up to date again.");
