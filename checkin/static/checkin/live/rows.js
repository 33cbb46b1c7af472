/** The students' rows: what the server says of each, and which of them are shown. */

const ONLY = { present: ["present"], late: ["late"], excused: ["excused"], missing: ["", "absent"] };
const JUST_NOW_MS = 4000;

export class Rows {
  only;
  sought = "";

  #list;
  #blank;
  #byStudent = new Map();

  constructor(page) {
    this.#list = page.querySelector("#rows");
    this.#blank = page.querySelector("#row").content.firstElementChild;
    this.only = page.dataset.only;
    for (const row of this.#list.children) this.#byStudent.set(Number(row.dataset.student), row);
  }

  get size() {
    return this.#byStudent.size;
  }

  get shown() {
    return [...this.#list.children].filter((row) => !row.hidden);
  }

  row(student) {
    return this.#byStudent.get(student);
  }

  /** Everything there is, in the server's order. */
  replaceAll(lines) {
    const listed = new Set(lines.map((line) => line.student));
    this.remove([...this.#byStudent.keys()].filter((student) => !listed.has(student)));
    lines.forEach((line, place) => {
      const row = this.set(line);
      // Moving a row takes the focus from it: only those move that must.
      if (this.#list.children[place] !== row) this.#list.insertBefore(row, this.#list.children[place]);
    });
  }

  update(lines) {
    for (const line of lines) {
      const row = this.set(line);
      row.classList.add("just-now");
      setTimeout(() => row.classList.remove("just-now"), JUST_NOW_MS);
    }
  }

  remove(students) {
    for (const student of students) {
      this.#byStudent.get(student)?.remove();
      this.#byStudent.delete(student);
    }
  }

  set(line) {
    const row = this.#byStudent.get(line.student) ?? this.#add(line.student);
    row.dataset.status = line.status;
    for (const part of ["name", "number", "word", "detail", "note"]) {
      row.querySelector(`.${part}`).textContent = line[part];
    }
    this.#setActs(row, line);
    return row;
  }

  /** Hide what is not looked for. */
  narrow() {
    const wanted = ONLY[this.only];
    const text = this.sought.toLowerCase();
    for (const row of this.#list.children) {
      const named = row.querySelector(".who").textContent.toLowerCase();
      row.hidden = (wanted && !wanted.includes(row.dataset.status)) || !named.includes(text);
    }
  }

  #setActs(row, line) {
    const acts = row.querySelector(".acts");
    if (!acts) return;
    acts.hidden = !line.may_mark;
    acts.querySelector("[name=shown]").value = line.shown;
    acts.querySelector("[name=change]").value = line.undo ?? "";
    acts.querySelector(".to-present").hidden = line.status !== "";
    acts.querySelector(".to-excused").hidden = !["", "absent"].includes(line.status);
    acts.querySelector(".to-change").hidden = line.status === "";
    acts.querySelector(".to-undo").hidden = line.undo === null;
    for (const named of acts.querySelectorAll(".visually-hidden")) named.textContent = ` ${line.name}`;
  }

  #add(student) {
    const row = this.#blank.cloneNode(true);
    row.dataset.student = student;
    for (const link of row.querySelectorAll("a")) {
      link.href = link.getAttribute("href").replace("/students/0/", `/students/${student}/`);
    }
    for (const form of row.querySelectorAll("form")) {
      form.action = form.getAttribute("action").replace("/students/0/", `/students/${student}/`);
    }
    this.#byStudent.set(student, row);
    this.#list.append(row);
    return row;
  }
}
