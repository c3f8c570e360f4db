// The order's page after its first paint: asks for the status, shows it, starts the payment.
// How each status looks and how often it is asked about stands in customer/views.html, not here.
"use strict";
(() => {
  const HIDDEN_MS = 15000, SLOWEST_MS = 15000, STATUS_TIMEOUT_MS = 8000, POST_TIMEOUT_MS = 20000;
  const REFUND_MS = 5000, REFUND_SLOWEST_MS = 30000, REDIRECT_MS = 10000, RETURN_GAP_MS = 2000;

  const at = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(at(id).textContent);
  const page = read("order-page");
  const { views, words } = page;
  const skew = page.now ? Date.parse(page.now) - Date.now() : 0;
  const serverTime = () => Date.now() + skew;

  let order = read("order-state");
  let asOf = page.expired ? Infinity : serverTime(); // when the server last said what `order` holds
  let lost = false;
  let shown = "";

  // --- what the order looks like ---------------------------------------------------------------

  const isAddress = (url) => /^(https?:\/)?\//i.test(url);
  const payable = () => order.status === "created" || order.status === "not_paid";
  const expiresAt = () => (order.expires_at ? Date.parse(order.expires_at) : Infinity);

  // "Expired" is said only on the server's word from after the deadline: the order may have been paid elsewhere.
  function view() {
    if (lost) return views.lost;
    if (order.failure && (order.status === "paid" || order.status === "make_pending")) return views.unknown;
    if (payable() && asOf >= expiresAt()) return views.expired;
    return views[order.status] || views.failed;
  }

  function say(id, text) {
    const place = at(id);
    if (place.textContent !== (text || "")) place.textContent = text || "";
    place.hidden = !text;
  }

  function show() {
    const now = view();
    const heading = now.title || order.status_text;
    say("status", heading);
    const reason = now.reason || (order.failure && !lost && order.failure.text);
    say("reason", reason);
    say("note", now.note !== reason && now.note);
    document.title = heading + " · " + page.title;
    at("cup").toggleAttribute("hidden", now.look === "sign");
    at("cup").dataset.look = now.look;
    at("sign").hidden = now.look !== "sign";
    showMoney();
    showScan();
    showReceipts();
    showPlaceWords(now.html ? order.device[now.html] : "");
    showSteps(now.step);
    showActions(now.action);
    tick();
  }

  // Money that is only held is never called taken, and giving it up is no refund of anything that was taken.
  function showMoney() {
    const onHold = order.money === "held" && !order.refund_status;
    at("held").hidden = !onHold || !["paid", "make_pending", "manual_make"].includes(order.status);
    const back = ["held", "released"].includes(order.money) ? words.release : words.refund;
    const state = back[order.refund_status];
    at("refund").hidden = !state;
    at("refund").dataset.state = order.refund_status || "";
    if (state) {
      at("refund-state").textContent = state[0];
      at("refund-text").textContent = state[1];
    }
    at("refresh").hidden = order.status !== "make_failed" || order.refund_status === "succeeded";
  }

  const scanned = () => (order.pay_at && order.pay_at.kind === "qr" && !lost ? order.pay_at : null);

  function showScan() {
    const here = scanned();
    at("scan").hidden = !here;
    if (!here) return;
    if (at("scan-qr").getAttribute("src") !== here.qr) at("scan-qr").src = here.qr;
    if (isAddress(here.url)) at("scan-link").href = here.url;
  }

  let receiptsShown = JSON.stringify(order.receipts);
  function showReceipts() {
    const now = JSON.stringify(order.receipts);
    if (now === receiptsShown) return;
    receiptsShown = now;
    at("receipts").replaceChildren(...order.receipts.map(receiptFigure));
    at("receipts").hidden = !order.receipts.length;
  }

  function receiptFigure({ kind, status, qr, numbers }) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const { title, canceled } = words.receipt[kind];
    caption.textContent = status === "canceled" ? canceled : title + ": " + (numbers || words.receipt.pending);
    if (qr) {
      const picture = document.createElement("img");
      Object.assign(picture, { src: qr, alt: words.receipt.qr, width: 160, height: 160 });
      figure.append(picture);
    }
    figure.append(caption);
    return figure;
  }

  // The operator's words come sanitised from the server; nothing else here is ever set as HTML.
  function showPlaceWords(html) {
    const place = at("place-words");
    if (shown !== (html || "")) place.innerHTML = shown = html || "";
    place.hidden = !html;
  }

  function showSteps(step) {
    at("steps").hidden = !step;
    at("steps").dataset.step = step || "";
    [...at("steps").children].forEach((item, index) => {
      if (index + 1 === step) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  function showActions(action) {
    at("pay").hidden = !["pay", "again", "return"].includes(action);
    at("choose").hidden = action !== "choose";
    at("promise").hidden = action !== "pay";
    if (at("email-field")) at("email-field").hidden = action === "return";
    at("pay-button").className = action === "return" ? "second" : "main";
    at("sbp-button").hidden = Boolean(scanned()) || !order.methods.includes("sbp");
    if (!busy && words[action]) at("pay-button").textContent = scanned() ? words.by_card : words[action];
    if (at("pay").hidden) say("pay-error", "");
    if (at("choose").hidden) say("choose-error", "");
  }

  // --- time to pay -----------------------------------------------------------------------------

  let ticking;
  function tick() {
    clearTimeout(ticking);
    const left = expiresAt() - serverTime();
    const counting = payable() && asOf < expiresAt() && left < 864e5;
    at("left").hidden = !counting;
    if (!counting) return;
    const seconds = Math.max(0, Math.ceil(left / 1000));
    at("left-time").textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
    if (left > 0) ticking = setTimeout(tick, Math.min(1000, left));
    else ask();
  }

  // --- asking ----------------------------------------------------------------------------------

  let timer, asking = false, askAgain = false, failures = 0, refundAsks = 0;

  async function fetched(path, timeout, options) {
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(), timeout);
    try {
      const response = await fetch(path, { cache: "no-store", ...options, signal: abort.signal });
      const body = await response.json().catch(() => null);
      return { status: response.status, body };
    } finally {
      clearTimeout(limit);
    }
  }

  async function ask() {
    if (asking) {
      askAgain = true;
      return;
    }
    asking = true;
    clearTimeout(timer);
    const started = serverTime();
    try {
      const path = "/v1/order-status/" + encodeURIComponent(order.order_id);
      take(await fetched(path, STATUS_TIMEOUT_MS), started);
      failures = 0;
      say("net", "");
    } catch {
      failures += 1;
      complain();
    }
    const again = askAgain && !failures;
    asking = askAgain = false;
    if (again) ask();
    else plan();
  }

  function take({ status, body }, started) {
    if (status === 404) lost = true;
    else if (status !== 200 || !body || !body.status) throw new Error("status " + status);
    else {
      refundAsks = body.updated_at === order.updated_at ? refundAsks + 1 : 0;
      order = body;
      asOf = started;
    }
    show();
  }

  const complain = () => say("net", navigator.onLine === false ? words.offline : words.trouble);

  // Milliseconds until the next question, or 0: nothing more is expected to change by itself.
  function pace() {
    if (lost) return 0;
    if (failures) return Math.min(1000 * 2 ** (failures - 1), SLOWEST_MS);
    if (view().poll) return view().poll;
    const registering = order.receipts.some(({ status }) => status === "pending");
    const awaited = order.refund_status === "pending" || order.money === "held" || registering;
    if (!awaited || order.status === "make_failed") return 0;
    return Math.min(REFUND_MS * 1.5 ** refundAsks, REFUND_SLOWEST_MS);
  }

  function plan() {
    clearTimeout(timer);
    const wait = pace();
    if (wait) timer = setTimeout(ask, document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
  }

  // --- coming and going ------------------------------------------------------------------------

  let left = false, cameBack = 0;

  function comeBack() {
    if (!left || document.hidden || Date.now() - cameBack < RETURN_GAP_MS) return;
    left = false;
    cameBack = Date.now();
    if (pace() || (view().back && order.refund_status !== "succeeded")) ask();
    else tick();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      left = true;
      plan();
    } else comeBack();
  });
  addEventListener("blur", () => (left = true));
  addEventListener("focus", comeBack);
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    release();
    ask();
  });
  addEventListener("offline", complain);
  addEventListener("online", () => (failures || pace() ? ask() : say("net", "")));
  at("refresh").addEventListener("click", ask);

  // --- paying and choosing ---------------------------------------------------------------------

  let busy = false, releasing;

  const buttons = () => document.querySelectorAll("form button");

  function hold(button, word) {
    busy = true;
    for (const each of buttons()) each.disabled = true;
    button.dataset.label = button.textContent;
    button.textContent = word;
  }

  function release() {
    clearTimeout(releasing);
    busy = false;
    for (const button of buttons()) {
      button.disabled = false;
      if (button.dataset.label) button.textContent = button.dataset.label;
    }
    showActions(view().action);
  }

  const post = (path, body) =>
    fetched(path, POST_TIMEOUT_MS, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ order_id: order.order_id, ...body }),
    });

  function emailWrong() {
    const field = at("email");
    if (!field || at("email-field").hidden) return "";
    const missing = !field.value.trim();
    const wrong = missing ? (field.required ? words.email_required : "") : field.validity.valid ? "" : words.email_invalid;
    field.setAttribute("aria-invalid", String(Boolean(wrong)));
    if (wrong) field.focus();
    return wrong;
  }

  at("pay").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    const wrong = emailWrong();
    say("pay-error", wrong);
    if (wrong) return;
    const button = event.submitter || at("pay-button");
    hold(button, words.creating);
    const email = at("email") && at("email").value.trim();
    const wish = { ...(email && { email }), ...(button.value && { method: button.value }) };
    try {
      const { body } = await post("/v1/initiate-payment", wish);
      if (!body || !isAddress(body.redirect_url)) {
        return refuse("pay-error", (body && body.error) || words.not_started);
      }
      if (body.kind === "qr" && !matchMedia("(pointer: coarse)").matches) {
        await ask(); // the code to be scanned comes with the status
        return release();
      }
      button.textContent = words.redirecting;
      releasing = setTimeout(release, REDIRECT_MS);
      location.assign(body.redirect_url);
    } catch {
      refuse("pay-error", words.unreachable);
    }
  });

  at("choose").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    say("choose-error", "");
    hold(event.submitter, words.choosing);
    try {
      const { status, body } = await post("/v1/manual-make", { choice: event.submitter.value });
      if (status !== 200 || !body || body.error) refuse("choose-error", (body && body.error) || words.trouble);
      else {
        await ask();
        release();
      }
    } catch {
      refuse("choose-error", words.unreachable);
    }
  });

  // The refusal may mean that the order has changed meanwhile, so the status is asked for again.
  function refuse(place, text) {
    release();
    say(place, text);
    if (!lost) ask();
  }

  shown = at("place-words").innerHTML;
  show();
  plan();
})();
