"use strict";
(() => {
  const tiles = JSON.parse(document.getElementById("data").textContent)?.tiles ?? [];
  const panel = document.getElementById("tile");

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  /* Where AWS' console shows a file beside an item, after a login; nothing for an item that is not in S3. */
  const ITEM = ".stac-item.json";
  const inConsole = (item, ending) => {
    const [, bucket, key] = item?.match(/^s3:\/\/([^/]+)\/(.+)\.stac-item\.json$/) ?? [];
    return bucket && `https://console.aws.amazon.com/s3/object/${bucket}?prefix=${encodeURIComponent(key + ending)}`;
  };

  /* Drawn over all tiles: a tile's own outline would lie under its neighbours'. */
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "path");
  ring.setAttribute("class", "ring");
  ring.setAttribute("aria-hidden", "true");

  const narrow = matchMedia("(max-width: 60rem)");
  let shown = null;
  const show = (mark) => {
    if (mark === shown) return;
    shown = mark;
    ring.setAttribute("d", mark.getAttribute("d").replace(/z.*/, "z"));
    mark.parentNode.append(ring);
    const tile = tiles[Number(mark.id.slice(1))];
    const heading = element("p", undefined, { class: "name" });
    heading.append(element("b", tile.name), " ", element("span", tile.state, { class: `state ${tile.state}` }));
    const facts = element("dl");
    for (const [name, value] of tile.facts) {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      facts.append(pair);
    }
    const words = element("div", undefined, { class: "words" });
    words.append(heading, facts);
    const links = element("p", undefined, { class: "links" });
    const quicklook = tile.quicklook ?? inConsole(tile.item, ".webp");
    if (quicklook) links.append(element("a", "Quicklook", { href: quicklook }), " ");
    const item = inConsole(tile.item, ITEM);
    if (item) links.append(element("a", "STAC item", { href: item }));
    if (links.hasChildNodes()) words.append(links);
    panel.replaceChildren(words);
    /* Beside the maps where there is room, else under the one that is pointed at. */
    if (narrow.matches) mark.closest("figure").after(panel);
    else mark.closest(".tiles").append(panel);
    if (tile.thumbnail) {
      panel.append(element("img", undefined, { src: tile.thumbnail, alt: `Quicklook of ${tile.name}` }));
    }
  };

  const place = (mark) => mark.getAttribute("d").match(/^M(-?\d+) (-?\d+)/).slice(1).map(Number);
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /* The nearest tile in a direction; what lies aside counts three times, so that rows and columns are kept to. */
  const beyond = (marks, from, [right, down]) => {
    const [x, y] = place(from);
    let best = null, least = Infinity;
    for (const mark of marks) {
      const [east, south] = place(mark).map((number, axis) => number - [x, y][axis]);
      const ahead = east * right + south * down;
      const aside = Math.abs(east * down) + Math.abs(south * right);
      if (ahead > 20 && ahead + 3 * aside < least) [best, least] = [mark, ahead + 3 * aside];
    }
    return best;
  };

  for (const map of document.querySelectorAll("svg.map")) {
    const marks = [...map.querySelectorAll("[role=option]")];
    if (marks.length === 0) continue;
    let current = null;
    const go = (mark) => {
      current?.removeAttribute("aria-selected");
      current = mark;
      current.setAttribute("aria-selected", "true");
      map.setAttribute("aria-activedescendant", current.id);
      show(current);
    };
    map.addEventListener("pointerover", (event) => {
      const mark = event.target.closest("[role=option]");
      if (mark) show(mark);
    });
    map.addEventListener("click", (event) => {
      const mark = event.target.closest("[role=option]");
      if (mark) go(mark);
    });
    map.addEventListener("focus", () => go(current ?? map.querySelector(".failed, .planned") ?? marks[0]));
    map.addEventListener("keydown", (event) => {
      const next = event.key in steps ? beyond(marks, current, steps[event.key])
        : event.key === "Home" ? marks[0]
        : event.key === "End" ? marks[marks.length - 1]
        : undefined;
      if (next === undefined) return;
      event.preventDefault();
      if (next) go(next);
    });
  }

  for (const box of document.querySelectorAll(".command")) {
    const code = box.querySelector("code");
    const button = element("button", "Copy", { type: "button" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    box.append(button);
  }
})();
