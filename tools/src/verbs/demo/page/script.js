"use strict";
(() => {
  const cards = [...document.querySelectorAll(".cards > .card")];
  const parts = [...document.querySelectorAll("#map [data-n]")];
  const [now, shown, here, player] = ["now", "shown", "here", "play"].map((id) => document.getElementById(id));
  const [range, which] = ["at", "which"].map((id) => document.getElementById(id));
  if (!cards.length) return;
  player.parentElement.hidden = now.hidden = false;
  let timer = 0;

  const size = Math.max(...document.getElementById("map").getAttribute("viewBox").split(" ").map(Number)) / 60;
  for (const ring of here.children) ring.setAttribute("r", size);

  function show(number, replay) {
    range.value = number;
    which.textContent = `${number + 1} of ${cards.length}`;
    const copy = cards[number].cloneNode(true);
    copy.removeAttribute("id");
    shown.replaceChildren(copy);
    for (const part of parts) {
      const at = Number(part.dataset.n);
      part.classList.toggle("later", replay && at > number);
      part.classList.toggle("now", at === number);
      if (at === number && part.dataset.x) {
        here.setAttribute("transform", `translate(${part.dataset.x} ${part.dataset.y})`);
        here.removeAttribute("hidden");
      }
    }
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    player.textContent = "Play";
  }

  player.addEventListener("click", () => {
    if (timer) return stop();
    let number = Number(range.value) + 1 < cards.length ? Number(range.value) + 1 : 0;
    show(number, true);
    player.textContent = "Pause";
    timer = setInterval(() => {
      number += 1;
      if (number < cards.length) show(number, true);
      else { stop(); show(cards.length - 1, false); }
    }, 450);
  });
  range.addEventListener("input", () => { stop(); show(Number(range.value), false); });
  for (const mark of document.querySelectorAll("#map a.mark")) {
    mark.addEventListener("click", (event) => {
      event.preventDefault();
      stop();
      show(Number(mark.dataset.n), false);
    });
  }
  for (const card of cards) {
    card.addEventListener("click", () => { stop(); show(Number(card.dataset.n), false); });
  }
  const first = cards.findIndex((card) => card.classList.contains("right"));
  show(Math.max(first, 0), false);
})();
