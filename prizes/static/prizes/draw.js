// The receipt check on the page of a draw: who this phone is, the two documents, and the verdict in plain words.
"use strict";

(() => {
  const TEXTS = {
    en: {
      intro:
        "Your own device checks it, with the receipt that this site must give you. Nothing that you type leaves it, " +
        "but your pseudonym, by which the receipt is found.",
      who: "You on this phone",
      by_hand: "With a pseudonym, or with number and salt, by hand",
      pseudonym: "Pseudonym (28 hex digits)",
      uid: "Your number in the app",
      salt: "Salt (64 hex digits)",
      check: "Check my receipt",
      keep: "Save the receipt",
      keep_record: "Save the record",
      working: "Checking …",
      nobody: "Type your pseudonym, or your number and salt. Both are on the phone that took part.",
      insecure: "Browsers give a page cryptography only over https. Open this page over https, please.",
      failed: "The documents could not be fetched: {detail}",
      mismatch: "This number and this salt do not give this pseudonym.",
      sealed: "You are in the roll with {tickets}. It is sealed and cannot change any more. Come back when the draw is published.",
      absent: "You are not in the roll. The receipt proves it: nobody stands between your neighbours in the sorted list.",
      counted: "This phone has counted {shakes} shakes in this segment, and {minimum} are worth a ticket. Unless you were excluded, something is wrong: keep the receipt and show it to the auditor.",
      lost: "You are in the roll with {tickets}. Your best score is {score}; the cutoff is {cutoff}: you did not win. A smaller score is better.",
      won: "You won: rank {rank}, {prize}. You are in the roll with {tickets}. It is not claimed yet: claim it in time, on the phone that won.",
      moved_up: "You moved up from the reserves and won: rank {rank}, {prize}. You are in the roll with {tickets}. It is not claimed yet: claim it in time, on the phone that won.",
      claimed: "You won: rank {rank}, {prize}. It is claimed. You are in the roll with {tickets}.",
      declined: "You do not have a prize any more: {prize}, rank {rank}, was declined. You are in the roll with {tickets}. If you have not declined it, save both files and show them to the auditor.",
      deadline_passed: "You do not have a prize any more: {prize}, rank {rank}, was not claimed before the deadline. You are in the roll with {tickets}. If you have claimed it, save both files and show them to the auditor.",
      disqualified: "You do not have a prize any more: you were disqualified from {prize}, rank {rank}. Reason: {why}. You are in the roll with {tickets}. If that is wrong, save both files and show them to the auditor.",
      was_moved_up: "You had moved up from the reserves.",
      reserve: "You are in reserve: rank {rank}, number {place} of {left} in line. You are in the roll with {tickets}. You get a prize if one becomes free and all before you in the line have got one or were passed over, unless you have won in another draw of this show.",
      passed_over: "You were in reserve at rank {rank}, and were passed over because you had won in another draw of this show. You are in the roll with {tickets}. If you have won nothing else, save both files and show them to the auditor.",
      skipped: "You are at rank {rank}, and were passed over because you had won in {draw}. If you have won nothing there, keep receipt and record, and compare them with the record of that draw: if it has no win of yours, they prove fraud.",
      fraud: "PROOF OF FRAUD: keep this file.\nYou are in the sealed roll with {tickets}. Your best score {score} is within the cutoff {cutoff}, and the record does not list you as it must. Save both files and give them to the auditor, the notary or a newspaper.",
      fraud_seal: "PROOF OF FRAUD: keep this file.\nThe seal of this draw is not the one that this phone was shown on the night. Save it and give it to the auditor, the notary or a newspaper.",
      fraud_listed: "PROOF OF FRAUD: keep this file.\nThe record ranks this viewer, who is not in the sealed roll. Save both files and give them to the auditor, the notary or a newspaper.",
      broken: "The check FAILED: {detail}.\nTry again. If it fails again, save both files and show them to the auditor: an honest site has a receipt that holds.",
      why_staff_or_family: "staff or family",
      why_under_age: "under age",
      why_outside_the_territory: "outside the territory",
      why_false_identity: "false identity",
      why_second_account: "second account",
      rehearsal: "This was a REHEARSAL: nobody outside can verify its random numbers.",
      step_who: "Number and salt give your pseudonym",
      step_receipt: "The receipt is yours, and well formed",
      step_format: "The documents are complete",
      step_roll: "The roll is the one of the receipt",
      step_proof: "The entries are in the roll, under its root",
      step_seen: "The seal is the one that this phone was shown",
      step_record: "The record is whole, and of the same rules, roll and seal",
      step_same: "Record and receipt are of the same draw",
      step_seal: "The seal follows from rules, roll, round and secrets",
      step_beacon: "The key follows from seal and beacon (drand's signature itself is checked by verify_draw.py)",
      step_ranking: "The ranking is in order, and winners and reserves are its first",
      step_dispositions: "What became of the prizes since follows the rules, one by one",
      step_score: "Your score was computed here",
    },
    zh: {
      intro: "由您自己的设备核对，所用凭证必须由本站提供。除用于查找凭证的匿名号外，您输入的内容不会离开此设备。",
      who: "此手机上的您",
      by_hand: "手动输入匿名号，或编号与盐值",
      pseudonym: "匿名号（28 位十六进制）",
      uid: "您在应用中的编号",
      salt: "盐值（64 位十六进制）",
      check: "核对我的凭证",
      keep: "保存凭证",
      keep_record: "保存记录",
      working: "正在核对……",
      nobody: "请输入匿名号，或编号与盐值。两者都在参与活动的手机上。",
      insecure: "浏览器只向 https 页面提供加密功能，请通过 https 打开本页。",
      failed: "无法获取文件：{detail}",
      mismatch: "该编号与盐值得不出此匿名号。",
      sealed: "您在名单中，共 {tickets}。名单已封存，无法再更改。请在公布抽奖结果后再来。",
      absent: "您不在名单中。凭证可以证明：在排序名单里，您的前后两人之间没有别人。",
      counted: "此手机在本轮计了 {shakes} 次，而 {minimum} 次即可得一票。除非您被排除在外，否则有问题：请保存凭证并交给审计员。",
      lost: "您在名单中，共 {tickets}。您的最佳分数是 {score}，截止分数是 {cutoff}：您没有中奖。分数越小越好。",
      won: "您中奖了：第 {rank} 名，{prize}。您在名单中，共 {tickets}。奖品尚未领取：请用中奖的手机按时领取。",
      moved_up: "您由候补递补中奖：第 {rank} 名，{prize}。您在名单中，共 {tickets}。奖品尚未领取：请用中奖的手机按时领取。",
      claimed: "您中奖了：第 {rank} 名，{prize}。奖品已领取。您在名单中，共 {tickets}。",
      declined: "您已不再拥有奖品：{prize}（第 {rank} 名）已被放弃。您在名单中，共 {tickets}。若您并未放弃，请保存两个文件并交给审计员。",
      deadline_passed: "您已不再拥有奖品：{prize}（第 {rank} 名）未在截止时间前领取。您在名单中，共 {tickets}。若您已经领取，请保存两个文件并交给审计员。",
      disqualified: "您已不再拥有奖品：您对 {prize}（第 {rank} 名）的中奖资格被取消。原因：{why}。您在名单中，共 {tickets}。若情况不实，请保存两个文件并交给审计员。",
      was_moved_up: "您此前由候补递补中奖。",
      reserve: "您是候补：第 {rank} 名，现有 {left} 位候补，您排在第 {place} 位。您在名单中，共 {tickets}。若有奖品空出，且排在您前面的候补均已递补或被跳过，则由您递补；若您已在本场另一次抽奖中中奖，则不再递补。",
      passed_over: "您曾是候补，第 {rank} 名，但因已在本场另一次抽奖中中奖而被跳过。您在名单中，共 {tickets}。若您未曾中过其他奖，请保存两个文件并交给审计员。",
      skipped: "您位列第 {rank} 名，但因已在 {draw} 中奖而被跳过。若您并未在那里中奖，请保存凭证与记录，并与那次抽奖的记录比对：若其中没有您的中奖，它们就可以证明舞弊。",
      fraud: "舞弊证据：请保存此文件。\n您在封存的名单中，共 {tickets}。您的最佳分数 {score} 在截止分数 {cutoff} 之内，而记录没有照实列出您。请保存两个文件，交给审计员、公证处或媒体。",
      fraud_seal: "舞弊证据：请保存此文件。\n本次抽奖的封存码与当晚此手机所见的不同。请保存并交给审计员、公证处或媒体。",
      fraud_listed: "舞弊证据：请保存此文件。\n记录中列有此人，而封存的名单里并没有。请保存两个文件，交给审计员、公证处或媒体。",
      broken: "核对失败：{detail}。\n请重试。若仍失败，请保存两个文件并交给审计员：诚实的网站必有可核对的凭证。",
      why_staff_or_family: "工作人员或其家属",
      why_under_age: "未达年龄",
      why_outside_the_territory: "不在活动地区",
      why_false_identity: "身份不实",
      why_second_account: "第二个账号",
      rehearsal: "这是一次彩排：外界无法核实其随机数。",
      step_who: "编号与盐值得出您的匿名号",
      step_receipt: "凭证属于您，格式正确",
      step_format: "文件完整",
      step_roll: "名单与凭证一致",
      step_proof: "条目在名单之中，归于其根",
      step_seen: "封存码就是此手机所见的",
      step_record: "记录完整，规则、名单与封存码一致",
      step_same: "记录与凭证属于同一次抽奖",
      step_seal: "封存码由规则、名单、轮次与各方秘密得出",
      step_beacon: "密钥由封存码与信标得出（drand 的签名由 verify_draw.py 核对）",
      step_ranking: "排名有序，中奖者与候补即其前列",
      step_dispositions: "此后奖品的去向逐条符合规则",
      step_score: "您的分数在此计算",
    },
  };

  const box = document.getElementById("receipt");
  const { show, epoch, segment, record, receipt } = box.dataset;
  const byId = (id) => document.getElementById(id);
  const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language;
  const language = asked.startsWith("zh") ? "zh" : "en";
  const say = (key, values = {}) => TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  function read(name) {
    try {
      return JSON.parse(localStorage.getItem(`shake.${show}.${name}`));
    } catch {
      return null; // storage is off, or holds something else
    }
  }

  // --- who ---

  /** Everybody this phone has been in the show: {pseudonym, uid, salt}. */
  async function identities() {
    const found = [];
    const kept = read("identities");
    for (const { pass, salt } of Array.isArray(kept) ? kept.filter((one) => typeof one?.pass === "string") : []) {
      const uid = Receipt.uidOf(pass);
      if (uid === null || !/^[0-9a-f]{64}$/.test(salt)) continue;
      found.push({ uid, salt, pseudonym: await Receipt.pseudonymOf(show, uid, salt) });
    }
    return found;
  }

  function typed() {
    const [pseudonym, uid, salt] = ["pseudonym", "uid", "salt"].map((id) => byId(id).value.trim().toLowerCase());
    return { pseudonym, uid, salt };
  }

  /** Whom to check: what was typed, else who is chosen; null for nobody, and where what was typed is of no use. */
  async function whom(kept) {
    const { pseudonym, uid, salt } = typed();
    if (pseudonym && !/^[0-9a-f]{28}$/.test(pseudonym)) return null; // a slip must not check somebody else
    if (/^[0-9a-f]{28}$/.test(pseudonym)) return { pseudonym, uid: salt ? uid : "", salt };
    if (uid && salt) return { uid, salt, pseudonym: await Receipt.pseudonymOf(show, uid, salt) };
    return kept[byId("who").selectedIndex] ?? null;
  }

  // --- the documents ---

  async function fetchText(address) {
    const answer = await fetch(address);
    if (answer.ok) return answer.text();
    const { code, message } = await answer.json().catch(() => ({ code: "", message: answer.statusText }));
    if (code === "not_published") return null; // the record comes later than the receipt
    throw new Error(message);
  }

  const documents = async (pseudonym) => ({
    receipt: await fetchText(receipt + pseudonym),
    record: await fetchText(record),
  });

  // --- the verdict ---

  function tell(verdict, text) {
    byId("verdict").hidden = false;
    byId("verdict").dataset.verdict = verdict;
    byId("verdict-text").textContent = text;
  }

  function drawSteps(steps) {
    const rows = steps.map(({ key, ok, detail }) => {
      const row = document.createElement("li");
      row.className = ok ? "holds" : "failed";
      row.textContent = `${ok ? "✓" : "✗"} ${say(`step_${key}`)}${detail ? `: ${detail}` : ""}`;
      return row;
    });
    byId("steps").replaceChildren(...rows);
  }

  function ticketsText(count) {
    if (language === "zh") return `${count} 票`;
    return count === 1 ? "1 ticket" : `${count} tickets`;
  }

  // Who has lost something may want to complain, and needs both documents for it.
  const COMPLAINTS = [
    "fraud", "fraud_seal", "fraud_listed", "broken", "skipped", "passed_over", "declined", "deadline_passed", "disqualified",
  ];

  function drawVerdict(result, { pseudonym }, files) {
    const why = result.verdict === "disqualified" ? say(`why_${result.reason.replaceAll(" ", "_")}`) : "";
    const lines = [say(result.verdict, { ...result, why, tickets: ticketsText(result.tickets) })];
    if (result.moved && result.verdict !== "moved_up") lines.push(say("was_moved_up"));
    if (result.verdict === "absent") lines.push(...counted(pseudonym, files.record));
    if (result.strength === "rehearsal") lines.push(say("rehearsal"));
    tell(result.verdict, lines.join("\n"));
    drawSteps(result.steps);
    offer("keep", files.receipt, `receipt-${pseudonym.slice(0, 8)}.json`);
    offer("keep-record", COMPLAINTS.includes(result.verdict) ? files.record : null, "record.json");
  }

  /** An absent viewer whose phone has counted enough should not be absent. */
  function counted(pseudonym, recordText) {
    const count = read("count");
    if (recordText === null || count?.viewer !== pseudonym || count.segment !== Number(segment)) return [];
    const minimum = JSON.parse(recordText).rules.tickets[0][0];
    return count.own >= minimum ? [say("counted", { shakes: count.own, minimum })] : [];
  }

  function offer(id, text, name) {
    const link = byId(id);
    link.hidden = text === null;
    if (text === null) return;
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = name;
  }

  async function check(kept) {
    byId("steps").replaceChildren();
    tell("working", say("working"));
    const who = await whom(kept);
    if (who === null) return tell("nobody", say("nobody"));
    const files = await documents(who.pseudonym);
    const seals = read("seals")?.[`${epoch}-${segment}`] ?? null; // of this very draw, not of a namesake
    return drawVerdict(await Receipt.check({ showId: show, ...who, ...files, seals }), who, files);
  }

  async function start() {
    for (const element of box.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
    box.lang = language;
    box.hidden = false;
    if (!window.isSecureContext) {
      byId("check").disabled = true;
      return tell("insecure", say("insecure"));
    }
    const kept = await identities();
    byId("kept").hidden = kept.length === 0;
    byId("by-hand").open = kept.length === 0;
    byId("who").replaceChildren(...kept.map(({ pseudonym }) => new Option(pseudonym)));
    byId("receipt-form").addEventListener("submit", (event) => {
      event.preventDefault();
      check(kept).catch((error) => tell("failed", say("failed", { detail: error.message })));
    });
    byId("check").disabled = false;
    return undefined;
  }

  start();
})();
