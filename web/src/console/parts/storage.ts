/** The browser's storage; nothing where the browser refuses it to pages. */
const storageOf = (name: 'localStorage' | 'sessionStorage'): Storage | undefined => {
  try {
    return window[name];
  } catch {
    return undefined;
  }
};

/** What all tabs share, and what a reload of this tab keeps. */
export const shared = storageOf('localStorage');
export const ofTab = storageOf('sessionStorage');
