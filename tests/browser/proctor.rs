//! A proctor's hands and eyes at the console: pressing, filling in, and looking at a view at every size.

use std::fs;

use super::rig::{Tab, screenshots};

/// A laptop and a phone.
pub(crate) const SIZES: [(u32, u32); 2] = [(1280, 844), (390, 844)];

/// What lies outside the page, or is cut off: the page must never scroll sideways.
const OVERFLOWS: &str = "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && \
    (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1 || \
     (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).overflowX !== 'visible' && !e.matches('input, textarea')))) \
    .map((e) => e.tagName + '#' + e.id + ' ' + e.textContent.slice(0, 30) + ' leaves its place')";

/// Controls smaller than a finger (WCAG 2.2, 2.5.8 asks for 24 px).
const SMALL: &str = "[...document.querySelectorAll('button, select, input:not([type=radio]), textarea')].filter((e) => e.checkVisibility() && \
    (e.getBoundingClientRect().height < 40 || e.getBoundingClientRect().width < 40)).map((e) => e.textContent + ' is small')";

/// What was found at a console's views, one line a fault.
#[derive(Default)]
pub(crate) struct Looks {
    pub(crate) wrong: Vec<String>,
}

impl Looks {
    /// Looks at one view at every size: nothing cut off, nothing too small for a finger, nothing for axe-core to find.
    pub(crate) async fn at(&mut self, tab: &Tab, view: &str) {
        for size in SIZES {
            tab.resize(size).await;
            let found: [Vec<String>; 3] = [tab.get(OVERFLOWS).await, tab.get(SMALL).await, tab.violations().await];
            self.wrong.extend(found.into_iter().flatten().map(|wrong| format!("{view} at {size:?}: {wrong}")));
            if let Some(folder) = screenshots() {
                let folder = folder.join(format!("console-{}x{}", size.0, size.1));
                fs::create_dir_all(&folder).expect("the folder can be made");
                fs::write(folder.join(format!("{view}.png")), tab.screenshot(true).await).expect("it is written");
            }
        }
        tab.resize(SIZES[0]).await;
    }
}

/// That the first element of `selector` holds `text`.
pub(crate) fn shows(selector: &str, text: &str) -> String {
    format!("document.querySelector({selector:?})?.textContent.includes({text:?})")
}

/// Presses the button that is called so.
pub(crate) async fn press(tab: &Tab, label: &str) {
    let found = format!(
        "[...document.querySelectorAll('button')].find((b) => b.checkVisibility() && \
         (b.ariaLabel ?? b.textContent.trim()).startsWith({label:?}))"
    );
    tab.until(&format!("{found} !== undefined")).await;
    let () = tab.get(&format!("({found}.click(), null)")).await;
}

/// Fills in a field.
pub(crate) async fn fill(tab: &Tab, id: &str, text: &str) {
    let () = tab.get(&format!("(document.getElementById({id:?}).value = {text:?}, null)")).await;
}

/// Chooses a language.
pub(crate) async fn choose(tab: &Tab, language: &str) {
    let () = tab
        .get(&format!(
            "((chooser) => {{ chooser.value = {language:?}; chooser.dispatchEvent(new Event('change')); return null; }})\
             (document.getElementById('language'))"
        ))
        .await;
    tab.until(&format!("document.documentElement.lang === {language:?}")).await;
}

/// Types code and PIN.
pub(crate) async fn sign_in(tab: &Tab, code: &str, pin: &str) {
    tab.until("document.body.dataset.view === 'out'").await;
    fill(tab, "code", code).await;
    fill(tab, "pin", pin).await;
    press(tab, "Sign in").await;
}

/// Chooses a ground in the open dialog, with a note, and confirms.
pub(crate) async fn rule(tab: &Tab, ground: &str, note: &str) {
    tab.until("document.getElementById('ruling').open").await;
    let choice = format!("document.querySelector('#grounds input[value={ground}]')");
    let () = tab.get(&format!("({choice}.checked = true, null)")).await;
    fill(tab, "note", note).await;
    let () = tab.get("(document.getElementById('confirm').click(), null)").await;
}
