// Links to Airflow's own pages. Airflow shows this page in a frame that may not leave itself, so that they are
// opened by the document around it, which is Airflow's and of the same origin.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.airflow");
  const plain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey);
  if (!link || !plain || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  outside.click();
});
