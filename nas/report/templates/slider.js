for (const control of document.querySelectorAll(".slider")) {
  const pictures = [...control.parentElement.querySelectorAll(".picture")];
  const input = control.querySelector("input");
  const show = () => {
    pictures.forEach((picture, number) => { picture.hidden = number !== Number(input.value); });
    input.setAttribute("aria-valuetext", pictures[input.value].dataset.label);
  };
  input.addEventListener("input", show);
  control.hidden = false;
  show();
}
