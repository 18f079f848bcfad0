/** Builds elements. Data enters as text nodes and attributes only, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Return an element: `h("p.note", {id: "x", onclick: f}, "text", child)`; null children vanish. */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return filled(document.createElement(name), classes, attributes, children);
}

/** Return an SVG element, in the same way. */
export function svg(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return filled(document.createElementNS(SVG, name), classes, attributes, children);
}

function filled(element, classes, attributes, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "selected")
      element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Show these children, and nothing else, in an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M6 4.5h4v15H6zM14 4.5h4v15h-4z",
  flag: "M5 21V4m0 1h12l-2.5 4L17 13H5",
  handoff: "M8 12.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-3.5 2.5-6 6-6 1.500 0 2.800.4 3.800 1.200M14 17h8m-3-3 3 3-3 3",
  alert: "M12 3 2.500 20h19zM12 10v4m0 3v.5",
  gap: "M4 12h3m3 0h4m3 0h3",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  next: "M5 5l8 7-8 7zM18 5v14",
  back5: "M11 6 5 12l6 6M19 6l-6 6 6 6",
  forward5: "M13 6l6 6-6 6M5 6l6 6-6 6",
  target: "M12 19a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM12 2v5m0 10v5M2 12h5m10 0h5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  check: "M5 12.500 10 17.500 19.500 7",
  cross: "M6 6l12 12M18 6 6 18",
  question: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.500v.5",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  download: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2m0 16v2M4.900 4.900l1.400 1.400m11.400 11.400 1.400 1.400M2 12h2m16 0h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 4v16",
  refresh: "M20 11a8 8 0 1 0-.5 4M20 5v6h-6",
  sound: "M4 9v6h4l5 4V5L8 9zM16.500 9a4 4 0 0 1 0 6",
};

/** Return a drawn icon; it says nothing to a screen reader, its button does. */
export function icon(name) {
  const solid = name === "play" || name === "pause" ? ".solid" : "";
  return svg(`svg.icon${solid}`, { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}
