/** Browsers without service workers, private windows and plain http do without it. */

navigator.serviceWorker?.register("/sw.js").catch(() => {});
