// The theme chosen with the toggle; without one, CSS follows the system.
try {
  const theme = localStorage.getItem("quorate.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: follow the system.
}
