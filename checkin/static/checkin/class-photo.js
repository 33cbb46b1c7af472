/* Corrections by clicking. Without this script the same form is filled in by hand. */

const review = document.querySelector("#review");
const upload = document.querySelector("#upload");
let corrected = false;

if (upload) {
  const camera = upload.querySelector("#camera");
  const sendShot = () => camera.files.length && upload.requestSubmit();
  camera.addEventListener("change", sendShot);
  upload.addEventListener("submit", (event) => {
    if (corrected && !window.confirm(upload.dataset.loses)) {
      event.preventDefault();
      return;
    }
    corrected = false;
    upload.querySelector("#progress").textContent = upload.dataset.looking;
    upload.querySelector("#send").disabled = true;
  });
  sendShot(); // taken while this script was on its way
}

if (review) {
  const selects = [...review.querySelectorAll("select[data-picture]")];
  const boxOf = (student) => review.querySelector(`input[name="present"][value="${student}"]`);

  const name = (select) => select.selectedOptions[0].textContent.split(" · ")[0];

  const draw = (select) => {
    const link = review.querySelector(`[data-face="${select.name}"]`);
    const known = Boolean(select.value);
    link.setAttribute("class", known ? "named" : "nameless");
    const words = `${select.dataset.number} ${known ? name(select) : "?"}`;
    link.querySelector("text").textContent = words;
    link.setAttribute("aria-label", words);
  };

  const showPresence = (box) => {
    const word = box.closest("li").querySelector("[data-word]");
    word.textContent = box.checked ? review.dataset.present : review.dataset.absent;
    word.classList.toggle("good", box.checked);
  };

  const count = () => {
    const boxes = [...review.querySelectorAll(".class-photo-students input")];
    const present = boxes.filter((box) => box.checked).length;
    document.querySelector("#count-present").textContent = present;
    document.querySelector("#count-absent").textContent = boxes.length - present;
    document.querySelector("#count-unknown").textContent = selects.filter((s) => !s.value).length;
    document.querySelector("#everybody-absent").hidden = present > 0;
  };

  const setPresent = (student, present) => {
    const box = student && boxOf(student);
    if (box) {
      box.checked = present;
      showPresence(box);
    }
  };

  /* One face in a picture is one student: the other face that had the name loses it. */
  const takeFromOthers = (select) => {
    for (const other of selects) {
      if (other !== select && other.value === select.value && select.value
          && other.dataset.picture === select.dataset.picture) {
        other.value = "";
        other.dataset.before = "";
        draw(other);
      }
    }
  };

  for (const select of selects) {
    select.dataset.before = select.value;
    select.addEventListener("change", () => {
      corrected = true;
      takeFromOthers(select);
      const before = select.dataset.before;
      select.dataset.before = select.value;
      setPresent(before, selects.some((one) => one.value === before));
      setPresent(select.value, true);
      draw(select);
      count();
    });
  }

  for (const box of review.querySelectorAll('input[name="present"]')) {
    box.addEventListener("change", () => {
      corrected = true;
      showPresence(box);
      count();
    });
  }

  /* The face's own row is shown in the dialog, and goes back to its place afterwards. */
  const dialog = document.querySelector("#assign");
  let place = null;
  for (const link of review.querySelectorAll("[data-face]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const row = document.getElementById(`${link.dataset.face}-row`);
      place = document.createComment("");
      row.replaceWith(place);
      document.querySelector("#assign-place").append(row);
      row.querySelector("select").setAttribute("form", "review");
      dialog.showModal();
      row.querySelector("select").focus();
    });
  }
  dialog.addEventListener("close", () => {
    place.replaceWith(document.querySelector("#assign-place li"));
  });

  review.addEventListener("submit", () => { corrected = false; });
  window.addEventListener("beforeunload", (event) => {
    if (corrected) {
      event.preventDefault();
    }
  });
}
