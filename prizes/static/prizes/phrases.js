// What the pages of draws say of one of a few values, in English: `say` gives the page's language.
import { mark } from "../engagement/words.js";

/** Why a prize was lost, by the words of the record with _ for spaces. */
export const REASONS = {
  staff_or_family: mark("staff or family"),
  under_age: mark("under age"),
  outside_the_territory: mark("outside the territory"),
  false_identity: mark("false identity"),
  second_account: mark("second account"),
  declined: mark("declined"),
  won_in_another_draw: mark("won in another draw"),
  deadline_passed: mark("deadline passed"),
};

/** How a win stands. */
export const CLAIMS = {
  until: mark("It waits for you until {time}. After that it goes to somebody else."),
  claimed: mark("The prize is yours! The organiser has been told that it is claimed."),
  declined: mark("You have given it up. Somebody else gets it."),
  too_late: mark("The time to claim this prize is over. It has gone to somebody else."),
  disqualified: mark("This win was disqualified. The reason stands in the record of the draw."),
  not_mine: mark(
    "This browser has won nothing in this draw. Open the page on the phone that won, in the same "
    + "browser; if you took part in an app, claim in that app.",
  ),
  failed: mark("There was no good answer: {message}. Try again: the page then shows how it stands."),
};

/** What this phone was told against the roll, in a word. */
export const CHIPS = {
  holds: mark("Your total is in"),
  lacks: mark("Key not in the ledger"),
  failed: mark("PROMISE BROKEN"),
};

/** And in a sentence. */
export const GROUNDS = {
  holds: mark(
    "This phone holds {total} shakes of yours, signed by the server. It has compared: the sealed roll "
    + "has what they are worth.",
  ),
  lacks: mark(
    "This phone holds {total} shakes of yours, signed with a key that is not in the show's ledger. The "
    + "sealed roll has what they are worth.",
  ),
  failed: mark(
    "This phone holds {total} shakes of yours, signed by the server, and the sealed roll has less than "
    + "they are worth. The phone page says what to do.",
  ),
};

/** What a receipt says. */
export const VERDICTS = {
  mismatch: mark("This number and this salt do not give this pseudonym."),
  sealed: mark(
    "You are in the roll with {tickets}. It is sealed and cannot change any more. Come back when the "
    + "draw is published.",
  ),
  spoiled: mark(
    "You are in the roll with {tickets}. This draw got no seal in time, so that nothing is drawn from "
    + "it. Keep the receipt.",
  ),
  absent: mark(
    "You are not in the roll. The receipt proves it: nobody stands between your neighbours in the sorted "
    + "list.",
  ),
  lost: mark(
    "You are in the roll with {tickets}. Your best score is {score}; the cutoff is {cutoff}: you did not "
    + "win. A smaller score is better.",
  ),
  won: mark(
    "You won: rank {rank}, {prize}. You are in the roll with {tickets}. It is not claimed yet: claim it "
    + "in time, on the phone that won.",
  ),
  moved_up: mark(
    "You moved up from the reserves and won: rank {rank}, {prize}. You are in the roll with {tickets}. "
    + "It is not claimed yet: claim it in time, on the phone that won.",
  ),
  claimed: mark("You won: rank {rank}, {prize}. It is claimed. You are in the roll with {tickets}."),
  declined: mark(
    "You do not have a prize any more: {prize}, rank {rank}, was declined. You are in the roll with "
    + "{tickets}. If you have not declined it, save both files and show them to the auditor.",
  ),
  deadline_passed: mark(
    "You do not have a prize any more: {prize}, rank {rank}, was not claimed before the deadline. You "
    + "are in the roll with {tickets}. If you have claimed it, save both files and show them to the "
    + "auditor.",
  ),
  disqualified: mark(
    "You do not have a prize any more: you were disqualified from {prize}, rank {rank}. Reason: {why}. "
    + "You are in the roll with {tickets}. If that is wrong, save both files and show them to the auditor.",
  ),
  reserve: mark(
    "You are in reserve: rank {rank}, number {place} of {left} in line. You are in the roll with "
    + "{tickets}. You get a prize if one becomes free and all before you in the line have got one or were "
    + "passed over, unless you have won in another draw of this show.",
  ),
  won_in_another_draw: mark(
    "Your win of {prize}, rank {rank}, went to the next reserve, because you had won in another draw of "
    + "this show first. You are in the roll with {tickets}. If you have won nothing else, save both files "
    + "and show them to the auditor.",
  ),
  passed_over: mark(
    "You were in reserve at rank {rank}, and were passed over because you had won in another draw of "
    + "this show. You are in the roll with {tickets}. If you have won nothing else, save both files and "
    + "show them to the auditor.",
  ),
  skipped: mark(
    "You are at rank {rank}, and were passed over because you had won in {draw}. If you have won nothing "
    + "there, keep receipt and record, and compare them with the record of that draw: if it has no win of "
    + "yours, they prove fraud.",
  ),
  fraud: mark(
    "PROOF OF FRAUD: keep this file.\nYou are in the sealed roll with {tickets}. Your best score {score} "
    + "is within the cutoff {cutoff}, and the record does not list you as it must. Save both files and "
    + "give them to the auditor, the notary or a newspaper.",
  ),
  fraud_seal: mark(
    "PROOF OF FRAUD: keep this file.\nThe seal of this draw is not the one that this phone was shown on "
    + "the night. Save it and give it to the auditor, the notary or a newspaper.",
  ),
  fraud_ledger: mark(
    "PROOF OF FRAUD: keep this file.\nThe ledger that was signed and shown to this phone before the draw "
    + "does not have the seal of this draw. Save both, and the signed ledger, and give them to the "
    + "auditor, the notary or a newspaper.",
  ),
  fraud_listed: mark(
    "PROOF OF FRAUD: keep this file.\nThe record ranks this viewer, who is not in the sealed roll. Save "
    + "both files and give them to the auditor, the notary or a newspaper.",
  ),
  broken: mark(
    "The check FAILED: {detail}.\nTry again. If it fails again, save both files and show them to the "
    + "auditor: an honest site has a receipt that holds.",
  ),
};

/** And what was checked for it. */
export const STEPS = {
  who: mark("Number and salt give your pseudonym"),
  receipt: mark("The receipt is yours, and well formed"),
  format: mark("The documents are complete"),
  roll: mark("The roll is the one of the receipt"),
  proof: mark("The entries are in the roll, under its root"),
  seen: mark("The seal is the one that this phone was shown"),
  ledger: mark("The ledger that was signed before the draw, which this phone keeps, has this seal"),
  ledger_open: mark(
    "The ledger that this phone keeps has this seal; this browser cannot check its signature, "
    + "verify_ledger.py can",
  ),
  record: mark("The record is whole, and of the same rules, roll and seal"),
  same: mark("Record and receipt are of the same draw"),
  signature: mark("The organiser has signed them"),
  signature_open: mark(
    "Whether the organiser has signed them cannot be told by this browser, or is not said in documents "
    + "of the first version; verify_draw.py with --key can",
  ),
  seal: mark("The seal follows from rules, roll, shakes, earlier wins, round and secrets"),
  beacon: mark("The key follows from seal and beacon (drand's signature itself is checked by verify_draw.py)"),
  ranking: mark("The ranking is in order, and winners and reserves are its first"),
  dispositions: mark("What became of the prizes since follows the rules, one by one"),
  score: mark("Your score was computed here"),
};

/** What is said beside a verdict, or in place of one. */
export const TOLD = {
  counted: mark(
    "This phone has counted {shakes} shakes in this segment, and {minimum} are worth a ticket. Unless you "
    + "were excluded, or the rules let fewer guests of your neighbourhood in the network count, something is "
    + "wrong: keep the receipt and show it to the auditor.",
  ),
  rehearsal: mark("This was a REHEARSAL: nobody outside can verify its random numbers."),
  nobody: mark("Type your pseudonym, or your number and salt. Both are on the phone that took part."),
  insecure: mark("Browsers give a page cryptography only over https. Open this page over https, please."),
  failed: mark("The documents could not be fetched: {detail}"),
};
