//! Whether a page is laid out well: nothing cut off, nothing overlapping, titles large enough.

use super::rig::Tab;

/// Sizes that have to work, with the pixels' pitch of a usual panel of that size in millimetres: 3.5", 7", 24" upright, 24".
pub(crate) const SIZES: [((u32, u32), f64); 4] =
    [((480, 320), 0.154), ((800, 480), 0.190), ((1080, 1920), 0.277), ((1920, 1080), 0.277)];

const PROBLEMS: &str = r##"(() => {
  const problems = [], visible = (e) => e.getClientRects().length > 0 && e.checkVisibility();
  const name = (e) => e.id || e.dataset.for || e.tagName + " " + e.textContent;
  const text = (e) => { const r = document.createRange(); r.selectNodeContents(e); return r.getBoundingClientRect(); };
  const boxes = [];
  for (const e of document.querySelectorAll("#exam, #room, #clock, #title, #detail, #try, #tries, #others p, .art, #mirror")) {
    if (!visible(e) || (!e.textContent.trim() && e.matches("p, h1, span:not(#tries)"))) continue;
    const b = e.id === "exam" || e.matches("#tries, .art, #mirror") ? e.getBoundingClientRect() : text(e);
    if (b.width < 4 || b.height < 4) problems.push(name(e) + " has no size");
    if (b.left < -0.5 || b.top < -0.5 || b.right > innerWidth + 0.5 || b.bottom > innerHeight + 0.5)
      problems.push(name(e) + " leaves the screen: " + JSON.stringify(b));
    if (e.matches("p, h1, span:not(#tries)") && parseFloat(getComputedStyle(e).fontSize) < 14) problems.push(name(e) + " is tiny");
    boxes.push([e, b]);
  }
  for (const [a, p] of boxes) for (const [b, q] of boxes) {
    if (a === b) break;
    const x = Math.min(p.right, q.right) - Math.max(p.left, q.left), y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    // Lines of a tall title reach a little beyond their boxes.
    const slack = Math.max(1, 0.12 * parseFloat(getComputedStyle(document.getElementById("title")).fontSize) * (a.matches("h1") || b.matches("h1")));
    if (x > 1 && y > slack) problems.push(name(a) + " overlaps " + name(b) + " by " + x.toFixed() + " x " + y.toFixed());
  }
  const exam = document.getElementById("exam");
  if (exam.textContent.length < 40 && exam.scrollWidth > exam.clientWidth + 1) problems.push("the exam's title is cut");
  if (document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight) problems.push("it scrolls");
  return problems;
})()"##;

/// What is wrong with the layout, one line each.
pub(crate) async fn problems(tab: &Tab) -> Vec<String> {
    tab.get(PROBLEMS).await
}

/// The height of the title's capitals, in CSS pixels. Capitals of Lato and Noto Sans are 0.71 to 0.72 of the font's size high.
pub(crate) async fn capitals(tab: &Tab) -> f64 {
    tab.get::<f64>("parseFloat(getComputedStyle(document.getElementById('title')).fontSize)").await * 0.71
}
