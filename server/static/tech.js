// Shows, while a technician types, what the customer will see: cleaned by the server, as it will be served.
"use strict";
(() => {
  const form = document.getElementById("texts");
  if (!form) return;
  const PAUSE_MS = 400;

  async function preview(field, place) {
    const response = await fetch("/tech/preview", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF": form.elements.csrf.value },
      body: JSON.stringify({ html: field.value }),
    });
    if (!response.ok) return;
    const { html } = await response.json();
    place.querySelector(".place-words").innerHTML = html;
    place.hidden = !html;
  }

  for (const place of form.querySelectorAll("[data-preview-of]")) {
    const field = form.elements[place.dataset.previewOf];
    let pause;
    const previewSoon = () => {
      clearTimeout(pause);
      pause = setTimeout(() => preview(field, place).catch(() => {}), PAUSE_MS);
    };
    field.addEventListener("input", previewSoon);
    // What was typed before this script came, or was put back by the browser, fired no event that it heard.
    if (field.value !== field.defaultValue) previewSoon();
  }
})();
