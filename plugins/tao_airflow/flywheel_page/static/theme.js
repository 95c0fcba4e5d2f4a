// Airflow keeps its choice of light or dark under this key; without one both follow the system.
const apply = () => {
  let chosen = null;
  try {
    chosen = window.localStorage.getItem("theme");
  } catch {
    // storage may be closed to a frame: the system's choice it is
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new Event("theme"));
};
apply();
window.addEventListener("storage", (event) => {
  if (event.key === "theme" || event.key === null) apply();
});
